// The thread sanitizer knows POSIX threads but not C11's, which librdkafka uses: a thread it has not seen start dies in
// its first malloc, and what librdkafka hands from thread to thread under its locks looks unordered. In a build under
// that sanitizer these definitions take the place of the C library's. There too a `thrd_t` is a `pthread_t`, and
// `mtx_t` and `cnd_t` are opaque storage for a mutex and a condition variable.
#define _GNU_SOURCE // recursive mutexes
#include "CSanitizerSupport.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

static int outcome(int error) {
    switch (error) {
    case 0: return thrd_success;
    case ENOMEM: return thrd_nomem;
    case ETIMEDOUT: return thrd_timedout;
    case EBUSY: return thrd_busy;
    default: return thrd_error;
    }
}

struct start {
    thrd_start_t body;
    void *argument;
};

static void *run(void *raw) {
    struct start start = *(struct start *)raw;
    free(raw);
    return (void *)(intptr_t)start.body(start.argument);
}

int thrd_create(thrd_t *thread, thrd_start_t body, void *argument) {
    struct start *start = malloc(sizeof *start);
    if (!start) return thrd_nomem;
    *start = (struct start){body, argument};
    pthread_t made;
    if (pthread_create(&made, NULL, run, start) != 0) {
        free(start);
        return thrd_error;
    }
    *thread = (thrd_t)made;
    return thrd_success;
}

int thrd_join(thrd_t thread, int *result) {
    void *value = NULL;
    if (pthread_join((pthread_t)thread, &value) != 0) return thrd_error;
    if (result) *result = (int)(intptr_t)value;
    return thrd_success;
}

_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t) && _Alignof(mtx_t) >= _Alignof(pthread_mutex_t), "mutex");
_Static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t) && _Alignof(cnd_t) >= _Alignof(pthread_cond_t), "condition");

static pthread_mutex_t *posix_mutex(mtx_t *mutex) { return (pthread_mutex_t *)mutex; }
static pthread_cond_t *posix_condition(cnd_t *condition) { return (pthread_cond_t *)condition; }

int mtx_init(mtx_t *mutex, int type) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    if (type & mtx_recursive) pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    int error = pthread_mutex_init(posix_mutex(mutex), &attributes);
    pthread_mutexattr_destroy(&attributes);
    return outcome(error);
}

int mtx_lock(mtx_t *mutex) { return outcome(pthread_mutex_lock(posix_mutex(mutex))); }
int mtx_trylock(mtx_t *mutex) { return outcome(pthread_mutex_trylock(posix_mutex(mutex))); }
int mtx_unlock(mtx_t *mutex) { return outcome(pthread_mutex_unlock(posix_mutex(mutex))); }
void mtx_destroy(mtx_t *mutex) { pthread_mutex_destroy(posix_mutex(mutex)); }

int cnd_init(cnd_t *condition) { return outcome(pthread_cond_init(posix_condition(condition), NULL)); }
int cnd_signal(cnd_t *condition) { return outcome(pthread_cond_signal(posix_condition(condition))); }
int cnd_broadcast(cnd_t *condition) { return outcome(pthread_cond_broadcast(posix_condition(condition))); }
void cnd_destroy(cnd_t *condition) { pthread_cond_destroy(posix_condition(condition)); }

int cnd_wait(cnd_t *condition, mtx_t *mutex) {
    return outcome(pthread_cond_wait(posix_condition(condition), posix_mutex(mutex)));
}

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until) {
    return outcome(pthread_cond_timedwait(posix_condition(condition), posix_mutex(mutex), until));
}
#endif
#endif
