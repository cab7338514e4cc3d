#define _GNU_SOURCE
#include "CLinux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

struct start {
    clinux_thread_body body;
    void *context;
    char name[16];
};

static void *run(void *raw) {
    struct start start = *(struct start *)raw;
    free(raw);
    pthread_setname_np(pthread_self(), start.name);
    return start.body(start.context);
}

int clinux_thread_start(uint64_t *thread, const char *name, size_t stack_bytes, clinux_thread_body body, void *context) {
    struct start *start = calloc(1, sizeof *start);
    if (!start) return ENOMEM;
    start->body = body;
    start->context = context;
    strncpy(start->name, name, sizeof start->name - 1);
    // Everything asynchronous stays with the main thread; a blocked SIGSEGV would kill without a backtrace.
    sigset_t all, old;
    sigfillset(&all);
    const int synchronous[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT};
    for (size_t i = 0; i < sizeof synchronous / sizeof *synchronous; i++) sigdelset(&all, synchronous[i]);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack_bytes);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_t made;
    int result = pthread_create(&made, &attributes, run, start);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    if (result) free(start);
    else *thread = (uint64_t)made;
    return result;
}

int clinux_thread_join(uint64_t thread) { return pthread_join((pthread_t)thread, NULL); }
void clinux_thread_detach(uint64_t thread) { pthread_detach((pthread_t)thread); }
uint64_t clinux_thread_self(void) { return (uint64_t)pthread_self(); }

struct clinux_monitor {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
};

clinux_monitor *clinux_monitor_new(void) {
    clinux_monitor *monitor = malloc(sizeof *monitor);
    if (!monitor) abort();
    pthread_mutex_init(&monitor->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&monitor->condition, &attributes);
    pthread_condattr_destroy(&attributes);
    return monitor;
}

void clinux_monitor_free(clinux_monitor *monitor) {
    pthread_cond_destroy(&monitor->condition);
    pthread_mutex_destroy(&monitor->mutex);
    free(monitor);
}

void clinux_monitor_lock(clinux_monitor *monitor) { pthread_mutex_lock(&monitor->mutex); }
void clinux_monitor_unlock(clinux_monitor *monitor) { pthread_mutex_unlock(&monitor->mutex); }
void clinux_monitor_signal(clinux_monitor *monitor) { pthread_cond_signal(&monitor->condition); }
void clinux_monitor_broadcast(clinux_monitor *monitor) { pthread_cond_broadcast(&monitor->condition); }

static struct timespec timespec_of(uint64_t nanoseconds) {
    return (struct timespec){.tv_sec = (time_t)(nanoseconds / 1000000000u), .tv_nsec = (long)(nanoseconds % 1000000000u)};
}

bool clinux_monitor_wait_until(clinux_monitor *monitor, uint64_t nanoseconds) {
    if (nanoseconds == UINT64_MAX) return pthread_cond_wait(&monitor->condition, &monitor->mutex) == 0;
    struct timespec until = timespec_of(nanoseconds);
    return pthread_cond_timedwait(&monitor->condition, &monitor->mutex, &until) == 0;
}

uint64_t clinux_monotonic_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void clinux_wall_clock(int64_t *seconds, int32_t *nanoseconds) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *seconds = now.tv_sec;
    *nanoseconds = (int32_t)now.tv_nsec;
}

int clinux_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

void clinux_eventfd_signal(int fd) {
    uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) {}
}

void clinux_eventfd_drain(int fd) {
    uint64_t count;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR) {}
}

int clinux_wait_readable(int fd, uint64_t until) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    for (;;) {
        struct timespec left, *limit = NULL;
        if (until != UINT64_MAX) {
            uint64_t now = clinux_monotonic_nanoseconds();
            left = timespec_of(until > now ? until - now : 0);
            limit = &left;
        }
        int result = ppoll(&entry, 1, limit, NULL);
        if (result >= 0) return result > 0;
        if (errno != EINTR) return -1;
    }
}

void clinux_tune_allocator(void) {
    // Bodies are made on one thread and freed on another: few arenas and fixed thresholds keep what is resident
    // near what is live (glibc otherwise raises the mmap threshold to 32 MiB by itself).
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
}

static pthread_t main_thread;
static sigset_t handled;

void clinux_block_signals(void) {
    main_thread = pthread_self();
    sigemptyset(&handled);
    sigaddset(&handled, SIGTERM);
    sigaddset(&handled, SIGINT);
    sigaddset(&handled, SIGHUP);
    sigaddset(&handled, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &handled, NULL);
}

void clinux_ignore_sigpipe(void) { signal(SIGPIPE, SIG_IGN); }

int clinux_wait_signal(void) {
    int number = 0;
    while (sigwait(&handled, &number) != 0) {}
    return number;
}

int clinux_wait_signal_until(uint64_t until) {
    for (;;) {
        uint64_t now = clinux_monotonic_nanoseconds();
        struct timespec left = timespec_of(until > now ? until - now : 0);
        int number = sigtimedwait(&handled, NULL, &left);
        if (number > 0) return number;
        if (errno == EAGAIN) return 0;
    }
}

void clinux_wake_main_thread(void) { pthread_kill(main_thread, SIGUSR2); }
void clinux_exit_now(int code) { _exit(code); }

uint64_t clinux_raise_open_file_limit(uint64_t wanted) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    return limit.rlim_cur;
}

static long status_line(const char *name) {
    FILE *file = fopen("/proc/self/status", "re");
    if (!file) return -1;
    char line[256];
    long value = -1;
    size_t length = strlen(name);
    while (fgets(line, sizeof line, file))
        if (strncmp(line, name, length) == 0) {
            value = strtol(line + length, NULL, 10);
            break;
        }
    fclose(file);
    return value;
}

int64_t clinux_resident_bytes(void) {
    long kilobytes = status_line("VmRSS:");
    return kilobytes < 0 ? -1 : (int64_t)kilobytes * 1024;
}

int clinux_thread_count(void) { return (int)status_line("Threads:"); }

int clinux_open_file_count(void) {
    DIR *directory = opendir("/proc/self/fd");
    if (!directory) return -1;
    int count = -3; // ".", ".." and the directory itself
    while (readdir(directory)) count++;
    closedir(directory);
    return count;
}

void clinux_wipe(void *base, size_t count) { explicit_bzero(base, count); }

int clinux_spawn(const char *path, char *const *arguments, char *const *environment, const char *directory,
                 int standard_input, int standard_output, int standard_error, pid_t *process, int *process_descriptor) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    const int given[] = {standard_input, standard_output, standard_error};
    // First out of the way of 0…2, so that no dup2 overwrites a descriptor still needed.
    int moved[3] = {-1, -1, -1};
    int result = 0;
    for (int i = 0; i < 3 && !result; i++) {
        if (given[i] < 0) {
            result = posix_spawn_file_actions_addopen(&actions, i, "/dev/null", i ? O_WRONLY : O_RDONLY, 0);
        } else {
            moved[i] = fcntl(given[i], F_DUPFD_CLOEXEC, 3);
            result = moved[i] < 0 ? errno : posix_spawn_file_actions_adddup2(&actions, moved[i], i);
        }
    }
    if (!result && directory) result = posix_spawn_file_actions_addchdir_np(&actions, directory);
    if (!result) result = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    if (!result) result = posix_spawn(process, path, &actions, &attributes, arguments, environment);
    for (int i = 0; i < 3; i++)
        if (moved[i] >= 0) close(moved[i]);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (!result) *process_descriptor = (int)syscall(SYS_pidfd_open, *process, 0);
    return result;
}

int clinux_reap(pid_t process, int *exit_code, int *signal_number) {
    int status = 0;
    while (waitpid(process, &status, 0) < 0)
        if (errno != EINTR) return errno;
    *exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    *signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return 0;
}

int clinux_pipe(int *reader, int *writer) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return errno;
    *reader = ends[0];
    *writer = ends[1];
    return 0;
}

char **clinux_environment(void) { return environ; }

int clinux_terminal_width(int fd) {
    if (!isatty(fd)) return 0;
    struct winsize size;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

bool clinux_terminal_echo(int fd, bool on) {
    struct termios settings;
    if (tcgetattr(fd, &settings) != 0) return false;
    if (on) settings.c_lflag |= ECHO;
    else settings.c_lflag &= ~(tcflag_t)ECHO;
    return tcsetattr(fd, TCSADRAIN, &settings) == 0;
}

void clinux_processor_seconds(double *user, double *system) {
    struct rusage usage;
    *user = *system = 0;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return;
    *user = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec * 1e-6;
    *system = (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec * 1e-6;
}

uint64_t clinux_open_file_limit(void) {
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

int64_t clinux_virtual_bytes(void) {
    long kibibytes = status_line("VmSize:");
    return kibibytes < 0 ? -1 : (int64_t)kibibytes * 1024;
}
