package bench;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashSet;
import java.util.Set;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/** Keeps the last value of each key and the sum per subscription; publishes changed totals once a second. */
final class Totals implements Processor<byte[], Usage, String, byte[]> {
    private final Progress progress;
    private final Set<String> changed = new HashSet<>();
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, Long> values;
    private KeyValueStore<String, long[]> totals;

    Totals(Progress progress) {
        this.progress = progress;
    }

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
        this.context = context;
        values = context.getStateStore(Job.VALUES);
        totals = context.getStateStore(Job.TOTALS);
        context.schedule(Duration.ofMillis(Job.PUBLISH_EVERY_MS), PunctuationType.WALL_CLOCK_TIME, now -> publish(now));
    }

    @Override
    public void process(Record<byte[], Usage> record) {
        progress.begin();
        Usage usage = record.value();
        int size;
        if (usage.columns() != null) {
            Usage.Columns columns = usage.columns();
            size = columns.keys().length;
            for (int i = 0; i < size; i++) {
                apply(columns.subscriptions()[columns.subscription()[i]], columns.keys()[i], columns.quantities()[i]);
            }
        } else {
            size = usage.counters().size();
            for (Usage.Counter counter : usage.counters()) {
                apply(counter.subscription(), counter.key(), counter.quantity());
            }
        }
        progress.applied(size);
    }

    private void apply(String subscription, String key, long quantity) {
        // A subscription's length before it, so that no two pairs share a key.
        String row = subscription.length() + ":" + subscription + key;
        Long former = values.get(row);
        values.put(row, quantity);
        long[] total = totals.get(subscription);
        if (total == null) {
            total = new long[2];
        }
        total[0] += quantity - (former == null ? 0 : former);
        total[1] += former == null ? 1 : 0;
        totals.put(subscription, total);
        changed.add(subscription);
    }

    private void publish(long now) {
        for (String subscription : changed) {
            long[] total = totals.get(subscription);
            String json = "{\"sum\":" + total[0] + ",\"keys\":" + total[1] + "}";
            context.forward(new Record<>(subscription, json.getBytes(StandardCharsets.UTF_8), now));
        }
        changed.clear();
        progress.published(context.taskId());
    }
}
