/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What "s3bridge report" is made of, beside the status: the history of the run and the settings in force, as JSON.
 *
 *   {"at_ms": NOW, "settings": {"writeback": "none", ...}, "memory_limit_bytes": N,
 *    "paths_left_out": N, "interval_ms": N,
 *    "samples": {"start_ms": [...], "end_ms": [...], "copied_bytes": [...], ...},
 *    "classes": {"high": {"running": [...], ...}, ...},
 *    "paths": [{"endpoint": "...", "direction": "read", "rtt_us": [...], ...}, ...]}
 *
 * All arrays have the same length; fs/history.h says what they mean. Times are of the monotonic clock. */
#ifndef S3B_FS_REPORT_DATA_H
#define S3B_FS_REPORT_DATA_H

#include <stddef.h>

struct fs;

/* One JSON object, malloc'd. NULL: out of memory. */
char *report_data_json(struct fs *fs, size_t *len);

#endif
