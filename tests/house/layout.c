/* The layout of every public struct and the number of every status, frozen: a field may be added at
 * an end, never moved, resized or removed within a soname (docs/abi.md tells how). These are the
 * figures for LP64, where long and pointers have 64 bits. A compiler that accepts this file has the
 * frozen layout. */
#include <workpool/workpool.h>

#ifdef __cplusplus
#define CHECK(what, condition) static_assert(condition, what)
#else
#define CHECK(what, condition) _Static_assert(condition, what)
#endif

#ifndef MOVED_BY
#define MOVED_BY 0 /* A test expects every field this much further on, and an error. */
#endif

#define SIZE(type, bytes) CHECK("size of " #type, sizeof(type) == (bytes))
#define FIELD(type, field, offset, bytes)                                                      \
  CHECK("place of " #type "." #field, offsetof(type, field) == (offset) + MOVED_BY &&          \
                                          sizeof(((type *)0)->field) == (bytes))
#define VALUE(name, number) CHECK("value of " #name, (name) == (number))

SIZE(void *, 8);
SIZE(pool_t, 8);
SIZE(pool_ticket_t, 8);
SIZE(pool_group_t, 8);
SIZE(pool_token_t, 8);
SIZE(pool_cq_t, 8);
SIZE(pool_budget_t, 8);
SIZE(pool_status_t, 4);

SIZE(pool_result_t, 312);
FIELD(pool_result_t, struct_size, 0, 4);
FIELD(pool_result_t, outcome, 4, 4);
FIELD(pool_result_t, code, 8, 4);
FIELD(pool_result_t, attempts, 12, 4);
FIELD(pool_result_t, worker, 16, 4);
FIELD(pool_result_t, flags, 20, 4);
FIELD(pool_result_t, ticket, 24, 8);
FIELD(pool_result_t, value, 32, 8);
FIELD(pool_result_t, wait_ns, 40, 8);
FIELD(pool_result_t, run_ns, 48, 8);
FIELD(pool_result_t, text, 56, 256);

SIZE(pool_options_t, 296);
FIELD(pool_options_t, struct_size, 0, 4);
FIELD(pool_options_t, workers_min, 4, 4);
FIELD(pool_options_t, workers_max, 8, 4);
FIELD(pool_options_t, workers_limit, 12, 4);
FIELD(pool_options_t, keep_alive_ns, 16, 8);
FIELD(pool_options_t, queue_limit, 24, 8);
FIELD(pool_options_t, submit_timeout_ns, 32, 8);
FIELD(pool_options_t, on_full, 40, 4);
FIELD(pool_options_t, prestart, 44, 4);
FIELD(pool_options_t, on_exception, 48, 4);
FIELD(pool_options_t, inherit_affinity, 52, 4);
FIELD(pool_options_t, stack_bytes, 56, 8);
FIELD(pool_options_t, name, 64, 8);
FIELD(pool_options_t, drop, 72, 8);
FIELD(pool_options_t, log_fn, 80, 8);
FIELD(pool_options_t, log_user, 88, 8);
FIELD(pool_options_t, log_level, 96, 4);
FIELD(pool_options_t, reserved, 100, 4);
FIELD(pool_options_t, strategy, 104, 4);
FIELD(pool_options_t, lanes, 108, 4);
FIELD(pool_options_t, aging_ns, 112, 8);
FIELD(pool_options_t, lane_limit, 120, 8);
FIELD(pool_options_t, queue_limit_bytes, 128, 8);
FIELD(pool_options_t, rate_count, 136, 8);
FIELD(pool_options_t, rate_period_ns, 144, 8);
FIELD(pool_options_t, rate_burst, 152, 4);
FIELD(pool_options_t, on_rate, 156, 4);
FIELD(pool_options_t, codel_target_ns, 160, 8);
FIELD(pool_options_t, codel_interval_ns, 168, 8);
FIELD(pool_options_t, retry_count, 176, 8);
FIELD(pool_options_t, retry_period_ns, 184, 8);
FIELD(pool_options_t, dead_letter, 192, 8);
FIELD(pool_options_t, dead_letter_user, 200, 8);
FIELD(pool_options_t, queue_high, 208, 8);
FIELD(pool_options_t, queue_low, 216, 8);
FIELD(pool_options_t, watermark, 224, 8);
FIELD(pool_options_t, watermark_user, 232, 8);
FIELD(pool_options_t, stuck_after_ns, 240, 8);
FIELD(pool_options_t, stuck, 248, 8);
FIELD(pool_options_t, stuck_user, 256, 8);
FIELD(pool_options_t, task_isolation, 264, 4);
FIELD(pool_options_t, dead_letter_limit, 268, 4);
FIELD(pool_options_t, policy, 272, 8);
FIELD(pool_options_t, budget, 280, 8);
FIELD(pool_options_t, budget_floor, 288, 4);
FIELD(pool_options_t, budget_weight, 292, 4);

SIZE(pool_option_t, 48);
FIELD(pool_option_t, struct_size, 0, 4);
FIELD(pool_option_t, type, 4, 4);
FIELD(pool_option_t, live, 8, 4);
FIELD(pool_option_t, reserved, 12, 4);
FIELD(pool_option_t, name, 16, 8);
FIELD(pool_option_t, default_value, 24, 8);
FIELD(pool_option_t, range, 32, 8);
FIELD(pool_option_t, doc, 40, 8);

SIZE(pool_task_t, 192);
FIELD(pool_task_t, struct_size, 0, 4);
FIELD(pool_task_t, on_full, 4, 4);
FIELD(pool_task_t, run, 8, 8);
FIELD(pool_task_t, done, 16, 8);
FIELD(pool_task_t, drop, 24, 8);
FIELD(pool_task_t, arg, 32, 8);
FIELD(pool_task_t, group, 40, 8);
FIELD(pool_task_t, submit_timeout_ns, 48, 8);
FIELD(pool_task_t, name, 56, 8);
FIELD(pool_task_t, token, 64, 8);
FIELD(pool_task_t, cq, 72, 8);
FIELD(pool_task_t, key, 80, 8);
FIELD(pool_task_t, priority, 88, 4);
FIELD(pool_task_t, class_id, 92, 4);
FIELD(pool_task_t, cost_bytes, 96, 8);
FIELD(pool_task_t, deadline_ns, 104, 8);
FIELD(pool_task_t, queue_timeout_ns, 112, 8);
FIELD(pool_task_t, run_timeout_ns, 120, 8);
FIELD(pool_task_t, delay_ns, 128, 8);
FIELD(pool_task_t, period_ns, 136, 8);
FIELD(pool_task_t, period_mode, 144, 4);
FIELD(pool_task_t, on_rate, 148, 4);
FIELD(pool_task_t, retries_max, 152, 4);
FIELD(pool_task_t, backoff_factor_percent, 156, 4);
FIELD(pool_task_t, backoff_first_ns, 160, 8);
FIELD(pool_task_t, backoff_max_ns, 168, 8);
FIELD(pool_task_t, backoff_jitter, 176, 4);
FIELD(pool_task_t, retry_on, 180, 4);
FIELD(pool_task_t, retry_if, 184, 8);

SIZE(pool_completion_t, 56);
FIELD(pool_completion_t, struct_size, 0, 4);
FIELD(pool_completion_t, outcome, 4, 4);
FIELD(pool_completion_t, code, 8, 4);
FIELD(pool_completion_t, attempts, 12, 4);
FIELD(pool_completion_t, ticket, 16, 8);
FIELD(pool_completion_t, arg, 24, 8);
FIELD(pool_completion_t, value, 32, 8);
FIELD(pool_completion_t, wait_ns, 40, 8);
FIELD(pool_completion_t, run_ns, 48, 8);

SIZE(pool_class_options_t, 72);
FIELD(pool_class_options_t, struct_size, 0, 4);
FIELD(pool_class_options_t, concurrency_max, 4, 4);
FIELD(pool_class_options_t, rate_count, 8, 8);
FIELD(pool_class_options_t, rate_period_ns, 16, 8);
FIELD(pool_class_options_t, rate_burst, 24, 4);
FIELD(pool_class_options_t, on_rate, 28, 4);
FIELD(pool_class_options_t, retries_max, 32, 4);
FIELD(pool_class_options_t, backoff_factor_percent, 36, 4);
FIELD(pool_class_options_t, backoff_first_ns, 40, 8);
FIELD(pool_class_options_t, backoff_max_ns, 48, 8);
FIELD(pool_class_options_t, backoff_jitter, 56, 4);
FIELD(pool_class_options_t, retry_on, 60, 4);
FIELD(pool_class_options_t, retry_if, 64, 8);

SIZE(pool_attempt_t, 32);
FIELD(pool_attempt_t, struct_size, 0, 4);
FIELD(pool_attempt_t, code, 4, 4);
FIELD(pool_attempt_t, worker, 8, 4);
FIELD(pool_attempt_t, reserved, 12, 4);
FIELD(pool_attempt_t, start_ns, 16, 8);
FIELD(pool_attempt_t, run_ns, 24, 8);

SIZE(pool_dead_letter_t, 648);
FIELD(pool_dead_letter_t, struct_size, 0, 4);
FIELD(pool_dead_letter_t, code, 4, 4);
FIELD(pool_dead_letter_t, attempts, 8, 4);
FIELD(pool_dead_letter_t, worker, 12, 4);
FIELD(pool_dead_letter_t, flags, 16, 4);
FIELD(pool_dead_letter_t, history_count, 20, 4);
FIELD(pool_dead_letter_t, ticket, 24, 8);
FIELD(pool_dead_letter_t, arg, 32, 8);
FIELD(pool_dead_letter_t, value, 40, 8);
FIELD(pool_dead_letter_t, wait_ns, 48, 8);
FIELD(pool_dead_letter_t, run_ns, 56, 8);
FIELD(pool_dead_letter_t, ended_ns, 64, 8);
FIELD(pool_dead_letter_t, history, 72, 256);
FIELD(pool_dead_letter_t, name, 328, 64);
FIELD(pool_dead_letter_t, text, 392, 256);

SIZE(pool_running_t, 112);
FIELD(pool_running_t, struct_size, 0, 4);
FIELD(pool_running_t, worker, 4, 4);
FIELD(pool_running_t, thread, 8, 4);
FIELD(pool_running_t, state, 12, 4);
FIELD(pool_running_t, ticket, 16, 8);
FIELD(pool_running_t, wall_ns, 24, 8);
FIELD(pool_running_t, cpu_ns, 32, 8);
FIELD(pool_running_t, attempt, 40, 4);
FIELD(pool_running_t, reserved, 44, 4);
FIELD(pool_running_t, name, 48, 64);

SIZE(pool_fork_t, 64);
FIELD(pool_fork_t, opaque, 0, 64);

SIZE(pool_group_options_t, 8);
FIELD(pool_group_options_t, struct_size, 0, 4);
FIELD(pool_group_options_t, reserved, 4, 4);

SIZE(pool_load_t, 160);
FIELD(pool_load_t, struct_size, 0, 4);
FIELD(pool_load_t, workers_live, 4, 4);
FIELD(pool_load_t, workers_idle, 8, 4);
FIELD(pool_load_t, workers_blocked, 12, 4);
FIELD(pool_load_t, workers_hung, 16, 4);
FIELD(pool_load_t, workers_min, 20, 4);
FIELD(pool_load_t, workers_max, 24, 4);
FIELD(pool_load_t, target, 28, 4);
FIELD(pool_load_t, now_ns, 32, 8);
FIELD(pool_load_t, wall_s, 40, 8);
FIELD(pool_load_t, dt_ns, 48, 8);
FIELD(pool_load_t, queued, 56, 8);
FIELD(pool_load_t, queue_limit, 64, 8);
FIELD(pool_load_t, head_age_ns, 72, 8);
FIELD(pool_load_t, arrived, 80, 8);
FIELD(pool_load_t, started, 88, 8);
FIELD(pool_load_t, ended, 96, 8);
FIELD(pool_load_t, failed, 104, 8);
FIELD(pool_load_t, wait_mean_s, 112, 8);
FIELD(pool_load_t, wait_p99_s, 120, 8);
FIELD(pool_load_t, service_s, 128, 8);
FIELD(pool_load_t, cores, 136, 8);
FIELD(pool_load_t, runnable, 144, 8);
FIELD(pool_load_t, others, 152, 8);

SIZE(pool_policy_t, 80);
FIELD(pool_policy_t, struct_size, 0, 4);
FIELD(pool_policy_t, flags, 4, 4);
FIELD(pool_policy_t, name, 8, 8);
FIELD(pool_policy_t, signal, 16, 8);
FIELD(pool_policy_t, decide, 24, 8);
FIELD(pool_policy_t, cooldown, 32, 8);
FIELD(pool_policy_t, user, 40, 8);
FIELD(pool_policy_t, tick_ns, 48, 8);
FIELD(pool_policy_t, patience_ns, 56, 8);
FIELD(pool_policy_t, call_max_ns, 64, 8);
FIELD(pool_policy_t, history, 72, 8);

SIZE(pool_decision_t, 96);
FIELD(pool_decision_t, struct_size, 0, 4);
FIELD(pool_decision_t, reason, 4, 4);
FIELD(pool_decision_t, flags, 8, 4);
FIELD(pool_decision_t, workers_before, 12, 4);
FIELD(pool_decision_t, workers, 16, 4);
FIELD(pool_decision_t, workers_live, 20, 4);
FIELD(pool_decision_t, workers_idle, 24, 4);
FIELD(pool_decision_t, workers_hung, 28, 4);
FIELD(pool_decision_t, number, 32, 8);
FIELD(pool_decision_t, at_ns, 40, 8);
FIELD(pool_decision_t, queued, 48, 8);
FIELD(pool_decision_t, head_age_ns, 56, 8);
FIELD(pool_decision_t, runnable, 64, 8);
FIELD(pool_decision_t, cores, 72, 8);
FIELD(pool_decision_t, goodput, 80, 8);
FIELD(pool_decision_t, signal, 88, 8);

SIZE(pool_stats_t, 200);
FIELD(pool_stats_t, struct_size, 0, 4);
FIELD(pool_stats_t, workers_live, 4, 4);
FIELD(pool_stats_t, workers_busy, 8, 4);
FIELD(pool_stats_t, workers_parked, 12, 4);
FIELD(pool_stats_t, workers_blocked, 16, 4);
FIELD(pool_stats_t, workers_wanted, 20, 4);
FIELD(pool_stats_t, queued, 24, 8);
FIELD(pool_stats_t, submitted, 32, 8);
FIELD(pool_stats_t, started, 40, 8);
FIELD(pool_stats_t, ended_run, 48, 8);
FIELD(pool_stats_t, ended_unrun, 56, 8);
FIELD(pool_stats_t, done, 64, 8);
FIELD(pool_stats_t, failed, 72, 8);
FIELD(pool_stats_t, cancelled, 80, 8);
FIELD(pool_stats_t, expired, 88, 8);
FIELD(pool_stats_t, shed, 96, 8);
FIELD(pool_stats_t, rejected, 104, 8);
FIELD(pool_stats_t, attempts, 112, 8);
FIELD(pool_stats_t, steals, 120, 8);
FIELD(pool_stats_t, parks, 128, 8);
FIELD(pool_stats_t, wakes, 136, 8);
FIELD(pool_stats_t, retired, 144, 8);
FIELD(pool_stats_t, start_failures, 152, 8);
FIELD(pool_stats_t, misuse, 160, 8);
FIELD(pool_stats_t, wait_p50_ns, 168, 8);
FIELD(pool_stats_t, wait_p99_ns, 176, 8);
FIELD(pool_stats_t, run_p50_ns, 184, 8);
FIELD(pool_stats_t, run_p99_ns, 192, 8);

VALUE(POOL_OK, 0);
VALUE(POOL_E_INVALID, -1);
VALUE(POOL_E_BADHANDLE, -2);
VALUE(POOL_E_TOOBIG, -3);
VALUE(POOL_E_NOMEM, -4);
VALUE(POOL_E_THREAD, -5);
VALUE(POOL_E_FULL, -6);
VALUE(POOL_E_TIMEOUT, -7);
VALUE(POOL_E_CLOSED, -8);
VALUE(POOL_E_CANCELLED, -9);
VALUE(POOL_E_EXPIRED, -10);
VALUE(POOL_E_RATE, -11);
VALUE(POOL_E_DEADLOCK, -12);
VALUE(POOL_E_FORKED, -13);
VALUE(POOL_E_EXCEPTION, -14);
VALUE(POOL_E_THREADEXIT, -15);
VALUE(POOL_E_ALREADY, -16);
VALUE(POOL_E_NOTFOUND, -17);
VALUE(POOL_E_SYSTEM, -18);
VALUE(POOL_E_STALLED, -19);
VALUE(POOL_E_INTERNAL, -20);
VALUE(POOL_DONE, 0);
VALUE(POOL_FAILED, 1);
VALUE(POOL_CANCELLED, 2);
VALUE(POOL_EXPIRED, 3);
VALUE(POOL_SHED, 4);
VALUE(POOL_ON_FULL_DEFAULT, 0);
VALUE(POOL_ON_FULL_REJECT, 1);
VALUE(POOL_ON_FULL_BLOCK, 2);
VALUE(POOL_DRAIN, 0);
VALUE(POOL_CANCEL_QUEUED, 1);
VALUE(POOL_CANCEL_ALL, 2);
VALUE(POOL_EXC_CAPTURE, 0);
VALUE(POOL_EXC_TERMINATE, 1);
VALUE(POOL_LOG_OFF, 0);
VALUE(POOL_LOG_ERROR, 1);
VALUE(POOL_LOG_WARN, 2);
VALUE(POOL_LOG_INFO, 3);
VALUE(POOL_LOG_DEBUG, 4);
VALUE(POOL_FOREVER, -1);
VALUE(POOL_UNLIMITED, 0xFFFFFFFFFFFFFFFFu);
VALUE(POOL_WAIT_HELP, 1);
VALUE(POOL_WORKERS_MAX, 4096);
VALUE(POOL_NAME_MAX, 63);
VALUE(POOL_RETRY, 1);
VALUE(POOL_ON_FULL_CALLER_RUNS, 3);
VALUE(POOL_ON_FULL_DROP_OLDEST, 4);
VALUE(POOL_ON_FULL_DROP_LOWEST, 5);
VALUE(POOL_ON_RATE_DEFAULT, 0);
VALUE(POOL_ON_RATE_REJECT, 1);
VALUE(POOL_ON_RATE_BLOCK, 2);
VALUE(POOL_ON_RATE_DELAY, 3);
VALUE(POOL_STRATEGY_STEALING, 0);
VALUE(POOL_STRATEGY_FIFO, 1);
VALUE(POOL_STRATEGY_LIFO, 2);
VALUE(POOL_STRATEGY_PRIORITY, 3);
VALUE(POOL_PERIOD_FIXED_RATE, 0);
VALUE(POOL_PERIOD_FIXED_DELAY, 1);
VALUE(POOL_JITTER_DEFAULT, 0);
VALUE(POOL_JITTER_FULL, 1);
VALUE(POOL_JITTER_EQUAL, 2);
VALUE(POOL_JITTER_NONE, 3);
VALUE(POOL_RETRY_ON_DEFAULT, 0);
VALUE(POOL_RETRY_ON_REQUEST, 1);
VALUE(POOL_RETRY_ON_FAILURE, 2);
VALUE(POOL_RESULT_OVERRAN, 1);
VALUE(POOL_ISOLATION_NONE, 0);
VALUE(POOL_ISOLATION_FP, 1);
VALUE(POOL_ISOLATION_FULL, 2);
VALUE(POOL_LANES_MAX, 16);
VALUE(POOL_CLASS_MAX, 255);
VALUE(POOL_HISTORY_MAX, 8);
VALUE(POOL_CQ_CAPACITY_MAX, 16777216);
VALUE(POOL_OPTION_UINT, 0);
VALUE(POOL_OPTION_TIME, 1);
VALUE(POOL_OPTION_CHOICE, 2);
VALUE(POOL_POLICY_SHADOW, 1);
VALUE(POOL_POLICY_KEEP, 2);
VALUE(POOL_REASON_HOLD, 0);
VALUE(POOL_REASON_STARVED, 1);
VALUE(POOL_REASON_EXPIRED, 2);
VALUE(POOL_REASON_TRIMMED, 3);
VALUE(POOL_REASON_PACED, 4);
VALUE(POOL_REASON_SEARCH_DOWN, 5);
VALUE(POOL_REASON_SEARCH_UP, 6);
VALUE(POOL_REASON_RELAXED, 7);
VALUE(POOL_REASON_COMPENSATED, 8);
VALUE(POOL_REASON_LOAD, 9);
VALUE(POOL_REASON_COOLDOWN, 10);
VALUE(POOL_REASON_MANUAL, 11);
VALUE(POOL_REASON_SCHEDULE, 12);
VALUE(POOL_REASON_BUDGET, 13);
VALUE(POOL_REASON_BOUNDS, 14);
VALUE(POOL_DECISION_SHADOW, 1);
