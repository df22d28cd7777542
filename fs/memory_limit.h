/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How much memory the engine takes when nobody says: from the machine's RAM and the limits of the control groups
 * (cgroup v2) the process lives in. */
#ifndef S3B_FS_MEMORY_LIMIT_H
#define S3B_FS_MEMORY_LIMIT_H

#include <stdint.h>

#define MEMORY_LIMIT_NONE UINT64_MAX

/* min(96 MiB, an eighth of the RAM, a quarter of the cgroup's limit), but never below SCHED_MEMORY_MIN_BYTES. */
uint64_t memory_limit_default(uint64_t ram_bytes, uint64_t cgroup_bytes);

uint64_t memory_limit_ram_bytes(void);

/* The least memory.max of our own cgroup and its parents; MEMORY_LIMIT_NONE without one. ROOT is "/" outside of
 * tests: the files are ROOT/proc/self/cgroup and ROOT/sys/fs/cgroup/.... */
uint64_t memory_limit_cgroup_bytes(const char *root);

#endif
