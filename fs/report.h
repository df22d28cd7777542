/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A run as one HTML page that needs nothing else: no script, no font, no other file. */
#ifndef S3B_FS_REPORT_H
#define S3B_FS_REPORT_H

#include <jansson.h>
#include <stddef.h>
#include <time.h>

/* STATUS is status.json, DATA report.json (fs/report_data.h); what a daemon of another version leaves out counts as 0.
 * The page is well-formed as XML too. malloc'd; NULL: out of memory. Pure: NOW is the time of the report. */
char *report_html(json_t *status, json_t *data, time_t now, size_t *len);

#endif
