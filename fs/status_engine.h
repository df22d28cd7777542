/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The engine's part of the status: what is on, what it has measured, and its advice. */
#ifndef S3B_FS_STATUS_ENGINE_H
#define S3B_FS_STATUS_ENGINE_H

#include <jansson.h>
#include <stdio.h>

struct sched;

/* NULL: out of memory. */
json_t *status_engine_json(struct sched *s);

/* The same as aligned text. */
void status_engine_print(FILE *out, json_t *engine);

#endif
