/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the page and its plots share; private to fs/report*.c. */
#ifndef S3B_FS_REPORT_INTERNAL_H
#define S3B_FS_REPORT_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "s3/base/strbuf.h"

/* The samples' times in seconds since the first, which never overlap. */
struct report_run {
	json_t *data;
	size_t count;
	double *start_s, *end_s; /* owned */
	int64_t first_ms;
};
/* False: out of memory. */
bool report_run_init(struct report_run *run, json_t *data);
void report_run_clear(struct report_run *run);

/* KEY of O as COUNT numbers, none of them below 0, malloc'd; 0 where there is none. NULL: out of memory. */
double *report_column(const struct report_run *run, json_t *o, const char *key);

/* "high (below 1 MB)" */
#define REPORT_CLASS_BYTES 64
const char *report_class_label(json_t *data, const char *class, char text[REPORT_CLASS_BYTES]);

void report_plots(struct strbuf *out, const struct report_run *run);

#endif
