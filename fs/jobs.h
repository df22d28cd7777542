/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The running and waiting changes: a line for each, and what the status says of them. */
#ifndef S3B_FS_JOBS_H
#define S3B_FS_JOBS_H

#include <jansson.h>
#include <stdint.h>

#include "s3/base/strbuf.h"
#include "sched/sched.h"

/* "ID KIND CLASS STATE DONE/SIZE PERCENT AGE RETRIES BUCKET/KEY" and a newline. Only the last column can hold blanks. */
void jobs_add_line(struct strbuf *out, const struct sched_job_info *info);

/* So many are described one by one. */
#define JOBS_LARGEST_MAX 50

struct jobs_summary {
	unsigned running, waiting;
	uint64_t size_bytes, done_bytes;
	/* Of those that run, the largest first. The keys are owned; labels and names live as long as the scheduler. */
	struct sched_job_info largest[JOBS_LARGEST_MAX];
	unsigned largest_count;
};
void jobs_summary_add(struct jobs_summary *s, const struct sched_job_info *info);
void jobs_summary_clear(struct jobs_summary *s);
/* NULL: out of memory. */
json_t *jobs_summary_json(const struct jobs_summary *s);

#endif
