/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes the history of a run: a reading a second on the scheduler's thread while there is work, and none while there
 * is none, so that an idle mount wakes nobody. */
#ifndef S3B_FS_RECORDER_H
#define S3B_FS_RECORDER_H

#include "fs/history.h"

struct recorder;

/* Before sched_start. SCHED is borrowed, and must have stopped before recorder_free. NULL: out of memory. */
struct recorder *recorder_new(struct sched *sched);
void recorder_free(struct recorder *r); /* NULL is allowed */

/* A copy of the history up to now, malloc'd. Any thread. NULL: out of memory. */
struct history *recorder_history(struct recorder *r);

#endif
