// What glibc offers only under _GNU_SOURCE or only as macros: threads with names, condition variables on the
// monotonic clock, eventfd, epoll, child processes with a pidfd, allocator settings, waiting for signals.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Threads.
typedef void *_Nullable (*clinux_thread_body)(void *_Nullable);
int clinux_thread_start(uint64_t *_Nonnull thread, const char *_Nonnull name, size_t stack_bytes,
                        clinux_thread_body _Nonnull body, void *_Nullable context);
int clinux_thread_join(uint64_t thread);
void clinux_thread_detach(uint64_t thread); // nobody will join: its memory goes when it ends
uint64_t clinux_thread_self(void);

// A condition variable that measures time on CLOCK_MONOTONIC. The mutex is a plain pthread mutex.
typedef struct clinux_monitor clinux_monitor;
clinux_monitor *_Nonnull clinux_monitor_new(void);
void clinux_monitor_free(clinux_monitor *_Nonnull monitor);
void clinux_monitor_lock(clinux_monitor *_Nonnull monitor);
void clinux_monitor_unlock(clinux_monitor *_Nonnull monitor);
void clinux_monitor_signal(clinux_monitor *_Nonnull monitor);
void clinux_monitor_broadcast(clinux_monitor *_Nonnull monitor);
// Returns false when the time came first. UINT64_MAX waits without limit.
bool clinux_monitor_wait_until(clinux_monitor *_Nonnull monitor, uint64_t monotonic_nanoseconds);

// Clocks, in nanoseconds.
uint64_t clinux_monotonic_nanoseconds(void);
void clinux_wall_clock(int64_t *_Nonnull seconds, int32_t *_Nonnull nanoseconds);

// eventfd, non-blocking, close-on-exec.
int clinux_eventfd(void);
void clinux_eventfd_signal(int fd);
void clinux_eventfd_drain(int fd);
// Waits until fd is readable: 1 readable, 0 time-out, -1 error. UINT64_MAX waits without limit.
int clinux_wait_readable(int fd, uint64_t monotonic_nanoseconds);

// Process.
void clinux_tune_allocator(void);
void clinux_block_signals(void);          // SIGTERM, SIGINT, SIGHUP, SIGUSR2 for this thread and those it makes later
void clinux_ignore_sigpipe(void);
int clinux_wait_signal(void);             // the next of those signals; call on the main thread only
int clinux_wait_signal_until(uint64_t monotonic_nanoseconds); // the same, 0 at the time-out
void clinux_wake_main_thread(void);       // sends SIGUSR2 to the thread that called clinux_block_signals
void clinux_exit_now(int code);           // _exit
// Raises the soft limit towards the wanted value; returns the soft limit then in force.
uint64_t clinux_raise_open_file_limit(uint64_t wanted);
int64_t clinux_resident_bytes(void);      // VmRSS of this process, -1 when /proc is not there
int clinux_open_file_count(void);
int clinux_thread_count(void);

// Wipes memory in a way the compiler keeps.
void clinux_wipe(void *_Nonnull base, size_t count);

// Child processes: an empty signal mask, default dispositions, an own process group, no inherited descriptors
// above 2. Descriptors of -1 become /dev/null. user_id 0 keeps the user. Returns 0 or errno.
int clinux_spawn(const char *_Nonnull path, char *_Nullable const *_Nonnull arguments,
                 char *_Nullable const *_Nonnull environment, const char *_Nullable directory, int standard_input,
                 int standard_output, int standard_error, pid_t *_Nonnull process, int *_Nonnull process_descriptor);
int clinux_reap(pid_t process, int *_Nonnull exit_code, int *_Nonnull signal_number); // waits for this child only
int clinux_pipe(int *_Nonnull reader, int *_Nonnull writer);                          // close-on-exec

// The process's surroundings.
char *_Nullable *_Nullable clinux_environment(void);  // "NAME=value", ends with NULL; read before threads exist
int clinux_terminal_width(int fd);                    // columns; 0 when fd is not a terminal, 80 when it does not say
bool clinux_terminal_echo(int fd, bool on);           // false when fd is not a terminal
void clinux_processor_seconds(double *_Nonnull user, double *_Nonnull system);
uint64_t clinux_open_file_limit(void);                // the soft limit in force
int64_t clinux_virtual_bytes(void);                   // VmSize of this process, -1 when /proc is not there
