package bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka Streams doing the meter's job: dedupe by key, last value wins, sum per subscription, publish changed totals.
 *
 * <p>Two stores with changelog topics, one stream thread, at least once, which is its default. Options: {@code
 * --bootstrap --topic --totals --application --state --counters --report} and {@code --store rocksdb|memory}.
 */
public final class Job {
    static final String VALUES = "values";
    static final String TOTALS = "totals";
    static final long PUBLISH_EVERY_MS = 1000; // the meter's default flush interval
    private static final int PARTITIONS = 4;

    private Job() {}

    public static void main(String[] words) throws Exception {
        Map<String, String> options = new HashMap<>();
        for (int i = 0; i + 1 < words.length; i += 2) {
            options.put(words[i].substring(2), words[i + 1]);
        }
        Progress progress = new Progress(Long.parseLong(options.get("counters")), PARTITIONS);
        KafkaStreams streams = new KafkaStreams(topology(options, progress), settings(options));
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        streams.start();
        boolean isDone = progress.done.await(600, TimeUnit.SECONDS);
        streams.close(Duration.ofSeconds(30)); // commits: state, changelogs and totals are durable now
        String report = String.format(
                Locale.ROOT,
                "{\"began_at\":%.3f,\"applied_at\":%.3f,\"durable_at\":%.3f}",
                progress.beganAt,
                progress.appliedAt,
                Progress.now());
        Files.writeString(Path.of(options.get("report")), report);
        System.exit(isDone ? 0 : 1);
    }

    private static Topology topology(Map<String, String> options, Progress progress) {
        boolean inMemory = "memory".equals(options.get("store"));
        return new Topology()
                .addSource("usage", Serdes.ByteArray().deserializer(), usage(), options.get("topic"))
                .addProcessor("total", () -> new Totals(progress), "usage")
                .addStateStore(
                        Stores.keyValueStoreBuilder(store(VALUES, inMemory), Serdes.String(), Serdes.Long())
                                .withCachingEnabled(),
                        "total")
                .addStateStore(
                        Stores.keyValueStoreBuilder(store(TOTALS, inMemory), Serdes.String(), pair())
                                .withCachingEnabled(),
                        "total")
                .addSink(
                        "totals",
                        options.get("totals"),
                        Serdes.String().serializer(),
                        Serdes.ByteArray().serializer(),
                        "total");
    }

    private static KeyValueBytesStoreSupplier store(String name, boolean inMemory) {
        return inMemory ? Stores.inMemoryKeyValueStore(name) : Stores.persistentKeyValueStore(name);
    }

    private static Deserializer<Usage> usage() {
        ObjectReader reader = new ObjectMapper().readerFor(Usage.class);
        return (topic, bytes) -> {
            try {
                return reader.readValue(bytes);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        };
    }

    private static Serde<long[]> pair() {
        return Serdes.serdeFrom(
                (topic, pair) -> ByteBuffer.allocate(16).putLong(pair[0]).putLong(pair[1]).array(),
                (topic, bytes) -> {
                    ByteBuffer buffer = ByteBuffer.wrap(bytes);
                    return new long[] {buffer.getLong(), buffer.getLong()};
                });
    }

    private static Properties settings(Map<String, String> options) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, options.get("application"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, options.get("bootstrap"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, options.get("state"));
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L << 20);
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        settings.put(StreamsConfig.consumerPrefix("max.poll.records"), 5000);
        settings.put(StreamsConfig.producerPrefix("linger.ms"), 20);
        settings.put(StreamsConfig.producerPrefix("batch.size"), 256 << 10);
        return settings;
    }
}
