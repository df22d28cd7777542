/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Allocation of the scheduler's own records. They are small and bounded by what was submitted, and a scheduler that
 * drops a change for want of a hundred bytes would break its promise that every callback runs: so running out ends the
 * process, which the journal and the supervisor are made for. File data never goes through here (sched/memory.h). */
#ifndef S3B_XALLOC_H
#define S3B_XALLOC_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "s3/base/log.h"

static inline void *xalloc_check(void *p)
{
	if (!p) {
		log_error("out of memory for the scheduler's records: ending");
		abort();
	}
	return p;
}

static inline void *xcalloc(size_t count, size_t size)
{
	return xalloc_check(calloc(count ? count : 1, size));
}

static inline void *xreallocarray(void *p, size_t count, size_t size)
{
	return xalloc_check(reallocarray(p, count ? count : 1, size));
}

static inline char *xstrdup(const char *s)
{
	return xalloc_check(strdup(s));
}

#endif
