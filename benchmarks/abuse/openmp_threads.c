/* gcc's OpenMP entry points on plain threads, which ThreadSanitizer follows. libgomp waits in ways
   that it does not see, so that every loop after another would look like a race. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 64 };

static int wanted = 2, regions;
static __thread int number;
static __thread int team = 1;
static pthread_barrier_t barrier;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

typedef unsigned long long ull;
static struct {
  int generation;
  ull next, end, step, chunk;
} loop;
static __thread int loops_begun;

int omp_get_thread_num(void) { return number; }
int omp_get_num_threads(void) { return team; }
int omp_get_max_threads(void) { return wanted; }
void omp_set_num_threads(int count) { wanted = count; }
int omp_in_parallel(void) { return team > 1; }
void GOMP_barrier(void) {
  if (team > 1) pthread_barrier_wait(&barrier);
}

struct task {
  void (*body)(void *);
  void *data;
  int number, team;
};

static void *run(void *argument) {
  struct task *task = argument;
  number = task->number;
  team = task->team;
  loops_begun = 0;
  task->body(task->data);
  return NULL;
}

void GOMP_parallel(void (*body)(void *), void *data, unsigned count, unsigned flags) {
  (void)flags;
  if (team > 1) { /* nested regions have one thread */
    body(data);
    return;
  }
  int size = count ? (int)count : wanted;
  if (size > MOST) size = MOST;
  pthread_t threads[MOST];
  struct task tasks[MOST];
  pthread_barrier_init(&barrier, NULL, (unsigned)size);
  loop.generation = 0;
  ++regions;
  for (int k = 1; k < size; ++k) {
    tasks[k] = (struct task){body, data, k, size};
    if (pthread_create(&threads[k], NULL, run, &tasks[k])) abort();
  }
  tasks[0] = (struct task){body, data, 0, size};
  run(&tasks[0]);
  team = 1;
  number = 0;
  for (int k = 1; k < size; ++k) pthread_join(threads[k], NULL);
  pthread_barrier_destroy(&barrier);
}

/* Dynamic loops count up from `start`; the first thread to arrive sets the loop up. */
static bool begin(ull start, ull end, ull step, ull chunk) {
  pthread_mutex_lock(&lock);
  if (loop.generation == loops_begun) {
    ++loop.generation;
    loop.next = start;
    loop.end = end;
    loop.step = step;
    loop.chunk = chunk;
  }
  ++loops_begun;
  pthread_mutex_unlock(&lock);
  return true;
}

static bool next(ull *from, ull *to) {
  pthread_mutex_lock(&lock);
  bool found = loop.next < loop.end;
  if (found) {
    *from = loop.next;
    loop.next += loop.chunk * loop.step;
    *to = loop.next < loop.end ? loop.next : loop.end;
  }
  pthread_mutex_unlock(&lock);
  return found;
}

bool GOMP_loop_nonmonotonic_dynamic_start(long start, long end, long step, long chunk, long *from,
                                          long *to) {
  begin((ull)start, (ull)end, (ull)step, (ull)chunk);
  return next((ull *)from, (ull *)to);
}
bool GOMP_loop_nonmonotonic_dynamic_next(long *from, long *to) {
  return next((ull *)from, (ull *)to);
}
void GOMP_loop_end(void) { GOMP_barrier(); }
void GOMP_loop_end_nowait(void) {}
void GOMP_parallel_loop_nonmonotonic_dynamic(void (*body)(void *), void *data, unsigned count,
                                             long start, long end, long step, long chunk,
                                             unsigned flags) {
  pthread_mutex_lock(&lock);
  loop.next = (ull)start;
  loop.end = (ull)end;
  loop.step = (ull)step;
  loop.chunk = (ull)chunk;
  pthread_mutex_unlock(&lock);
  GOMP_parallel(body, data, count, flags);
}

__attribute__((destructor)) static void report(void) {
  fprintf(stderr, "parallel regions: %d\n", regions);
}
