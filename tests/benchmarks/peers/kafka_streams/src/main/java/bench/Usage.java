package bench;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.List;

/** The parts of a usage batch that the job needs, in either of its two forms. */
@JsonIgnoreProperties(ignoreUnknown = true)
record Usage(@JsonProperty("columns") Columns columns, @JsonProperty("counters") List<Counter> counters) {

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Columns(
            @JsonProperty("subscriptions") String[] subscriptions,
            @JsonProperty("subscription") int[] subscription,
            @JsonProperty("keys") String[] keys,
            @JsonProperty("quantities") long[] quantities) {}

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Counter(
            @JsonProperty("subscription") String subscription,
            @JsonProperty("idempotency_key") String key,
            @JsonProperty("quantity") long quantity) {}
}
