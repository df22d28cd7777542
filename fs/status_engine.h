/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The engine's part of the status: what is on, what it has measured, and its advice. */
#ifndef S3B_FS_STATUS_ENGINE_H
#define S3B_FS_STATUS_ENGINE_H

#include <jansson.h>
#include <stdio.h>

struct sched;

/* NULL: out of memory. */
json_t *status_engine_json(struct sched *s);

/* The advice, a sentence a line; malloc'd. NULL: out of memory. */
char *status_engine_advice(struct sched *s, size_t *len);

/* What status_engine_json said, as aligned text. */
void status_engine_print(FILE *out, json_t *engine);

#endif
