// Puts the wall clock of a process ahead by so many seconds: loaded before the C library. Other clocks go on as they do.

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
  long outcome = syscall(SYS_clock_gettime, clock, now);
  const char *ahead = getenv("WAYPOST_TEST_CLOCK_AHEAD_S");
  if (outcome == 0 && clock == CLOCK_REALTIME && ahead) now->tv_sec += atol(ahead);
  return (int)outcome;
}
