// Java's ThreadPoolExecutor under a schedule, open loop, as replay.h has it for the other pools, which tells what the
// figures mean; here the threads are those that the executor counts, and cpu_s has the JVM's own in it.
//   java Main.java SCHEDULE [--duration S] [--drain S] --pool POOL
// POOL is how an executor is commonly set up:
//   cached                  Executors.newCachedThreadPool: a thread for each task that finds none idle, kept for 60 s
//   fixed:N                 Executors.newFixedThreadPool
//   elastic:CORE,MAX        tasks are handed to an idle thread, else one is started up to MAX; only then they wait in a queue
//   queued:CORE,MAX,QUEUE   a bounded queue: more than CORE threads only when it is full; the submitter runs what is refused
// elastic and queued end threads above CORE that were idle for 1 s.
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedTransferQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

public final class Main {
  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();
  private static final long SPIN_NS = 60_000;
  private static final long STEP_NS = 10_000_000;

  private static volatile long sink;

  // What the executor offers is taken by a thread that waits for it, or not at all; add keeps it.
  static final class HandOver extends LinkedTransferQueue<Runnable> {
    private static final long serialVersionUID = 1;

    @Override
    public boolean offer(Runnable task) {
      return tryTransfer(task);
    }
  }

  static final class Job implements Runnable {
    final long atNs, cpuNs, blockedNs, cpu2Ns;
    volatile long submitNs, startNs, endNs;  // 0: not yet

    Job(long[] us) {
      atNs = us[0] * 1_000;
      cpuNs = us[1] * 1_000;
      blockedNs = us[2] * 1_000;
      cpu2Ns = us[3] * 1_000;
    }

    @Override
    public void run() {
      startNs = System.nanoTime();
      compute(cpuNs);
      if (blockedNs > 0) sleepUntil(System.nanoTime() + blockedNs);
      compute(cpu2Ns);
      endNs = System.nanoTime();
    }
  }

  private static void compute(long cpuNs) {
    if (cpuNs == 0) return;
    final long end = THREADS.getCurrentThreadCpuTime() + cpuNs;
    long x = end;
    do {
      for (int i = 0; i < 2_000; ++i) x = x * 6364136223846793005L + 1442695040888963407L;
    } while (THREADS.getCurrentThreadCpuTime() < end);
    sink = x;  // so that the rounds are not left out
  }

  private static void sleepUntil(long atNs) {
    for (long left; (left = atNs - System.nanoTime()) > 0; ) LockSupport.parkNanos(left);
  }

  private static void waitUntilExactly(long atNs) {
    sleepUntil(atNs - SPIN_NS);
    while (System.nanoTime() < atNs) Thread.onSpinWait();
  }

  private static ThreadPoolExecutor makePool(String spec) {
    final String kind = spec.replaceAll(":.*", "");
    final int[] n = Arrays.stream(spec.replaceAll("^[^:]*:?", "").split(",")).filter(s -> !s.isEmpty())
        .mapToInt(Integer::parseInt).toArray();
    switch (kind + n.length) {
      case "cached0":
        return (ThreadPoolExecutor) Executors.newCachedThreadPool();
      case "fixed1":
        return (ThreadPoolExecutor) Executors.newFixedThreadPool(n[0]);
      case "elastic2":
        return new ThreadPoolExecutor(n[0], n[1], 1, TimeUnit.SECONDS, new HandOver(), (task, pool) -> {
          pool.getQueue().add(task);
        });
      case "queued3":
        return new ThreadPoolExecutor(n[0], n[1], 1, TimeUnit.SECONDS, new ArrayBlockingQueue<>(n[2]),
            new ThreadPoolExecutor.CallerRunsPolicy());
      default:
        throw new IllegalArgumentException("--pool is '" + spec + "', allowed: cached fixed:N elastic:CORE,MAX "
            + "queued:CORE,MAX,QUEUE");
    }
  }

  // Threads over time, as the executor counts them.
  static final class ThreadCount extends Thread {
    private final ThreadPoolExecutor pool;
    private volatile boolean over;
    double threadS;
    int peak;
    long cpuNs;

    ThreadCount(ThreadPoolExecutor pool) {
      this.pool = pool;
      setDaemon(true);
    }

    @Override
    public void run() {
      long last = System.nanoTime();
      for (long next = last + STEP_NS; !over; next = Math.max(next + STEP_NS, last)) {
        sleepUntil(next);
        final long now = System.nanoTime();
        final int count = pool.getPoolSize();
        threadS += count * (now - last) * 1e-9;
        peak = Math.max(peak, count);
        last = now;
      }
      cpuNs = THREADS.getCurrentThreadCpuTime();
    }

    void end() throws InterruptedException {
      over = true;
      join();
    }
  }

  private static double quantileMs(long[] sorted, double q) {
    return sorted[(int) Math.max(1, Math.ceil(q * sorted.length)) - 1] * 1e-6;
  }

  private static void print(String peer, Job[] jobs, long start, long stop, ThreadCount count, int peak, double cpuS) {
    final long[] wait = new long[jobs.length], queue = new long[jobs.length], sojourn = new long[jobs.length],
        late = new long[jobs.length];
    int dropped = 0;
    for (int i = 0; i < jobs.length; ++i) {
      final Job job = jobs[i];
      final long due = start + job.atNs, end = job.endNs, begun = job.startNs != 0 ? job.startNs : stop;
      if (end == 0) ++dropped;
      late[i] = Math.max(0, job.submitNs - due);
      wait[i] = Math.max(0, begun - due);
      queue[i] = Math.max(0, begun - job.submitNs);
      sojourn[i] = Math.max(0, (end != 0 ? end : stop) - due);
    }
    for (long[] times : List.of(wait, queue, sojourn, late)) Arrays.sort(times);
    System.out.printf(Locale.ROOT, "{\"peer\": \"Java %s\", \"tasks\": %d, \"dropped\": %d, \"elapsed_s\": %.3f, "
        + "\"wait_p50_ms\": %.4f, \"wait_p99_ms\": %.4f, \"queue_p99_ms\": %.4f, \"sojourn_p99_ms\": %.4f, "
        + "\"thread_s\": %.3f, \"cpu_s\": %.3f, \"peak\": %d, \"late_p99_ms\": %.4f}%n",
        peer, jobs.length, dropped, (stop - start) * 1e-9, quantileMs(wait, 0.5), quantileMs(wait, 0.99),
        quantileMs(queue, 0.99), quantileMs(sojourn, 0.99), count.threadS, cpuS, peak, quantileMs(late, 0.99));
    System.out.flush();
  }

  private static long processCpuNs() {
    return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
  }

  private static void replay(Job[] jobs, String spec, double durationS, double drainS) throws InterruptedException {
    final ThreadPoolExecutor pool = makePool(spec);
    final ThreadCount count = new ThreadCount(pool);
    final long cpuBefore = processCpuNs(), ownBefore = THREADS.getCurrentThreadCpuTime();
    final long start = System.nanoTime() + 20_000_000;
    sleepUntil(start);
    count.start();
    for (Job job : jobs) {
      waitUntilExactly(start + job.atNs);
      job.submitNs = System.nanoTime();
      pool.execute(job);
    }
    final long drained = System.nanoTime() + (long) (drainS * 1e9);
    for (int open = 0; ; ) {
      while (open < jobs.length && jobs[open].endNs != 0) ++open;
      final long now = System.nanoTime();
      if (now >= drained || (open == jobs.length && now >= start + (long) (durationS * 1e9))) break;
      sleepUntil(now + 1_000_000);
    }
    final long stop = System.nanoTime();
    count.end();
    final long own = THREADS.getCurrentThreadCpuTime() - ownBefore;
    final double cpuS = (processCpuNs() - cpuBefore - own - count.cpuNs) * 1e-9;
    print(spec, jobs, start, stop, count, Math.max(count.peak, pool.getLargestPoolSize()), cpuS);
  }

  public static void main(String[] args) throws IOException, InterruptedException {
    String schedule = null, pool = null;
    double durationS = 0, drainS = 30;
    for (int i = 0; i < args.length; ++i) {
      switch (args[i]) {
        case "--duration": durationS = Double.parseDouble(args[++i]); break;
        case "--drain": drainS = Double.parseDouble(args[++i]); break;
        case "--pool": pool = args[++i]; break;
        default: schedule = args[i];
      }
    }
    if (schedule == null || pool == null) {
      System.err.println("usage: Main SCHEDULE [--duration S] [--drain S] --pool POOL");
      System.exit(2);
    }
    final Job[] jobs;
    try (var lines = Files.lines(Path.of(schedule))) {
      jobs = lines.map(line -> new Job(Arrays.stream(line.split(" ")).mapToLong(Long::parseLong).toArray()))
          .toArray(Job[]::new);
    }
    replay(jobs, pool, durationS, drainS);
    System.out.flush();
    Runtime.getRuntime().halt(0);  // what was not drained in time is not waited for
  }
}
