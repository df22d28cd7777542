/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The daemon's figures in Prometheus' text exposition format 0.0.4: base units, counters that end in _total. */
#ifndef S3B_FS_METRICS_H
#define S3B_FS_METRICS_H

#include <stdint.h>

#include "fs/fs.h"
#include "s3/base/strbuf.h"
#include "sched/memory.h"
#include "sched/sched.h"

/* What is said, taken at one moment. */
struct metrics {
	const char *version;
	uint64_t uptime_ms;
	struct sched_stats sched;
	struct sched_engine_stats engine;
	struct sched_memory_stats memory;
	struct fs_stats files;
	struct fs_pending pending;
	unsigned failures;            /* that nobody has dealt with */
	uint64_t resident_peak_bytes; /* 0: unknown */
};
/* Large: not for a small stack. */
void metrics_take(struct fs *fs, struct metrics *m);

/* Pure. */
void metrics_write(const struct metrics *m, struct strbuf *out);

#endif
