/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the daemon is doing, as JSON: .s3bridge/status.json and "s3bridge status". */
#ifndef S3B_FS_STATUS_H
#define S3B_FS_STATUS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct fs;

/* Lists at most this many failures; "failed" counts them all. */
#define STATUS_FAILURES_MAX 1000

/* Remembers when the daemon started. Before its threads. */
void status_start(void);

/* Since then. */
uint64_t status_uptime_ms(void);

/* One JSON object and a newline, malloc'd. NULL: out of memory. Takes JOBS (jobs_summary_json). */
char *status_json(struct fs *fs, json_t *jobs, size_t *len);

/* A JSON string of S. What is no UTF-8 (file names may be anything) is written as \xHH. */
json_t *status_text(const char *s);

/* {"pending": N, "failed": N, "failures": [...]} of what is below PATH, malloc'd likewise. */
char *status_changes_json(struct fs *fs, const char *path, size_t *len);

#endif
