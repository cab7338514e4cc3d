// The thread sanitizer knows pthreads but not C11 threads, which librdkafka uses: a thread it has not seen start dies
// in its first malloc. In a build under that sanitizer these two definitions take the place of the C library's.
#include "CSanitizerSupport.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

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
#endif
#endif
