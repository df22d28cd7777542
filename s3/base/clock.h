/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The two clocks. Pure logic does not call these: it takes the time as a parameter. */
#ifndef S3B_CLOCK_H
#define S3B_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC: for intervals. */
static inline int64_t clock_monotonic_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static inline int64_t clock_monotonic_ms(void)
{
	return clock_monotonic_us() / 1000;
}

/* CLOCK_REALTIME: for signatures and file times. */
static inline struct timespec clock_realtime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts;
}

#endif
