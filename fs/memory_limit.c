/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The default of memory_limit. */
#include "fs/memory_limit.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "s3/base/cleanup.h"
#include "sched/memory.h"

#define DEFAULT_BYTES ((uint64_t)96 << 20)

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t memory_limit_default(uint64_t ram_bytes, uint64_t cgroup_bytes)
{
	uint64_t limit = least(DEFAULT_BYTES, ram_bytes / 8);

	if (cgroup_bytes != MEMORY_LIMIT_NONE)
		limit = least(limit, cgroup_bytes / 4);
	return limit < SCHED_MEMORY_MIN_BYTES ? SCHED_MEMORY_MIN_BYTES : limit;
}

uint64_t memory_limit_ram_bytes(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

	return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : MEMORY_LIMIT_NONE;
}

/* The cgroup of the process, as the line "0::/PATH" of cgroup v2 names it. False: there is none. */
static bool own_cgroup(const char *root, char *path, size_t size)
{
	char name[PATH_MAX], line[PATH_MAX];
	CLEANUP_FCLOSE FILE *f = NULL;

	snprintf(name, sizeof(name), "%s/proc/self/cgroup", root);
	f = fopen(name, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "0::/", 4))
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(path, size, "%s", line + 3);
		return true;
	}
	return false;
}

static uint64_t read_limit(const char *root, const char *cgroup)
{
	char name[2 * PATH_MAX];
	CLEANUP_FCLOSE FILE *f = NULL;
	uint64_t bytes;

	snprintf(name, sizeof(name), "%s/sys/fs/cgroup%s/memory.max", root, cgroup);
	f = fopen(name, "re");
	if (!f || fscanf(f, "%" SCNu64, &bytes) != 1)
		return MEMORY_LIMIT_NONE; /* no such file, or "max" */
	return bytes;
}

uint64_t memory_limit_cgroup_bytes(const char *root)
{
	char path[PATH_MAX];
	uint64_t limit = MEMORY_LIMIT_NONE;
	char *slash;

	if (!own_cgroup(root, path, sizeof(path)))
		return limit;
	/* In a container the path may name what only the host sees: going up ends at the root we do see. */
	while ((slash = strrchr(path, '/'))) {
		limit = least(limit, read_limit(root, path));
		*slash = '\0';
	}
	return least(limit, read_limit(root, ""));
}
