/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The keys of the configuration and how their values are read; private to fs/config*.c. One table serves the config
 * file, the -o options and the NAME=s3://... arguments, so that a key means the same everywhere. */
#ifndef S3B_FS_CONFIG_KEYS_H
#define S3B_FS_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/config.h"
#include "sched/memory.h"

struct config_key {
	const char *name;
	bool (*set)(const struct config_key *key, void *target, const char *value); /* false: VALUE is not EXPECTED */
	const char *expected; /* completes the sentence "expected ..." */
	size_t offset;        /* of the field in struct config or struct config_bucket */
	uint64_t min, max;    /* of numbers */
	bool secret;          /* may not stand on a command line */
};

/* Both end with an entry without a name. */
extern const struct config_key config_engine_keys[]; /* target: struct config */
extern const struct config_key config_bucket_keys[]; /* target: struct config_bucket */

/* Its value is yes or no, so that -o may give the name alone. */
bool config_key_is_flag(const struct config_key *key);

/* NULL: no such key. */
const struct config_key *config_key_find(const struct config_key *keys, const char *name);

/* Sets NAME to VALUE in TARGET. 0, or -1 with a sentence in ERR; WHERE begins it ("FILE:LINE: " or ""), KIND is what
 * the sentence calls an unknown name ("key", "option"), SECTION is where the key was found ("[photos]") or NULL. */
struct config_place {
	const char *where, *kind, *section;
};
int config_key_set(const struct config_key *keys, void *target, const char *name, const char *value,
		   const struct config_place *place, char *err, size_t err_size);

/* The known name nearest to NAME, or NULL when none is near. */
const char *config_key_suggest(const struct config_key *keys, const char *name);

/* "64M", "1GiB", "500kB", "4096": K, M, G, T and KiB... are powers of 1024, kB, MB, ... of 1000. */
bool config_parse_size(const char *text, uint64_t *bytes);

/* Appends a bucket called NAME. NULL with the sentence in ERR (begun by WHERE) for a name no directory can have or one
 * that is already there. */
struct config_bucket *config_bucket_add(struct config *c, const char *name, const char *where, char *err,
					size_t err_size);

#endif
