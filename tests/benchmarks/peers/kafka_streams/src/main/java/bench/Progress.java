package bench;

import java.util.concurrent.CountDownLatch;
import org.apache.kafka.streams.processor.TaskId;

/** When the first counter came and the last one was applied; releases `done` once all tasks published after that. */
final class Progress {
    final CountDownLatch done = new CountDownLatch(1);
    private final long wanted;
    private final java.util.Set<TaskId> published = new java.util.HashSet<>();
    private final int tasks;
    private long applied;
    volatile double beganAt;
    volatile double appliedAt;

    Progress(long wanted, int tasks) {
        this.wanted = wanted;
        this.tasks = tasks;
    }

    synchronized void begin() {
        if (beganAt == 0) {
            beganAt = now();
        }
    }

    synchronized void applied(int counters) {
        applied += counters;
        if (applied >= wanted) {
            appliedAt = now();
        }
    }

    synchronized void published(TaskId task) {
        if (applied >= wanted) {
            published.add(task);
            if (published.size() == tasks) {
                done.countDown();
            }
        }
    }

    static double now() {
        return System.currentTimeMillis() / 1000.0;
    }
}
