/* The priority pool: one worker, jobs of different urgency. The most urgent one waiting goes first; equals go in the
 * order of their arrival. */
#include <stdio.h>
#include <workpool/workpool.h>

enum { JOBS = 12, NAME_MAX_BYTES = 32 };

typedef struct hospital hospital_t;

typedef struct patient {
  hospital_t *hospital;
  char name[NAME_MAX_BYTES];
  int32_t urgency;
  int arrival;
} patient_t;

struct hospital {
  patient_t patients[JOBS];
  const patient_t *treated[JOBS]; /* in order; the only worker writes here */
  int count;
};

static int32_t treat(void *arg, pool_ctx_t *ctx) {
  patient_t *patient = arg;
  hospital_t *hospital = patient->hospital;
  (void)ctx;
  printf("treating %s, urgency %d, arrived as number %d\n", patient->name, (int)patient->urgency, patient->arrival);
  hospital->treated[hospital->count++] = patient;
  return 0;
}

static int fail(const char *what, pool_status_t status) {
  fprintf(stderr, "wrong: %s: %s\n", what, pool_strerror(status));
  return 1;
}

/* Nobody was treated before somebody more urgent, or before one as urgent who had come earlier. */
static int in_order(const hospital_t *hospital) {
  for (int i = 1; i < hospital->count; ++i) {
    const patient_t *before = hospital->treated[i - 1], *after = hospital->treated[i];
    if (before->urgency < after->urgency) return 0;
    if (before->urgency == after->urgency && before->arrival > after->arrival) return 0;
  }
  return 1;
}

int main(void) {
  static const int32_t urgencies[JOBS] = {1, 5, 3, 5, 1000000, 1, -7, 3, 5, 0, -7, 3};
  static hospital_t hospital;
  pool_options_t options;
  pool_options_init(&options, sizeof options);
  options.name = "hospital";
  options.workers_max = 1;
  options.strategy = POOL_STRATEGY_PRIORITY;

  pool_t pool;
  pool_status_t status = pool_create(&options, &pool);
  if (status != POOL_OK) return fail("pool_create", status);

  pool_pause(pool); /* until all have arrived, so that the order is plain to see */
  for (int i = 0; i < JOBS; ++i) {
    patient_t *patient = &hospital.patients[i];
    patient->hospital = &hospital;
    snprintf(patient->name, sizeof patient->name, "patient %c", 'A' + i);
    patient->urgency = urgencies[i];
    patient->arrival = i + 1;

    pool_task_t task;
    pool_task_init(&task, sizeof task);
    task.run = treat;
    task.arg = patient;
    task.priority = patient->urgency;
    status = pool_submit_task(pool, &task, NULL);
    if (status != POOL_OK) return fail("pool_submit_task", status);
  }
  pool_resume(pool);
  status = pool_destroy(pool); /* runs what is queued */
  if (status != POOL_OK) return fail("pool_destroy", status);

  if (hospital.count != JOBS) {
    fprintf(stderr, "wrong: %d of %d treated\n", hospital.count, JOBS);
    return 1;
  }
  if (hospital.treated[0]->urgency != 1000000 || !in_order(&hospital)) {
    fprintf(stderr, "wrong: not in the order of urgency\n");
    return 1;
  }
  printf("all %d treated, in the order of urgency and arrival\n", hospital.count);
  return 0;
}
