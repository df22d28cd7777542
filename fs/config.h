/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the user asked for: config file (INI), NAME=s3://... arguments and -o options, merged and checked.
 * Every bad input ends in one sentence that names the thing, the file and line where there is one, and what to do. */
#ifndef S3B_FS_CONFIG_H
#define S3B_FS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum writeback {
	WRITEBACK_NONE, /* close() returns after the commit */
	WRITEBACK_ALL,  /* close() returns at once; fsync, wait and unmount wait */
};

struct config_bucket {
	char *name;   /* the directory in the mount: no '/', not ".", "..", ".s3bridge", at most 255 bytes */
	char *bucket;
	char *prefix; /* "" or "some/prefix/" (always with its final slash) */
	char *endpoint, *region, *profile;
	char *access_key_id, *secret_access_key, *session_token; /* as configured here, NULL otherwise */
	char *ca_file;
	int path_style; /* as s3_bucket_config */
	bool readonly;
};

struct config {
	struct config_bucket *buckets;
	size_t bucket_count;
	char *mountpoint;        /* absolute, resolved when it exists */

	enum writeback writeback;
	uint64_t memory_limit_bytes; /* 0 in the file: the default, worked out from RAM and cgroup v2 by config_finish */
	/* the engine's parts; on unless turned off */
	bool priority_queues, dynamic_memory, streaming_optimizer, network_monitor;
	uint64_t medium_from_bytes, low_from_bytes; /* where the classes of objects begin; 0: 1 MB and 100 MB */
	unsigned concurrency;     /* 0: as the link carries */
	unsigned chunk_workers;   /* 0: 8, adapted to the link */
	uint64_t part_size_bytes; /* 0: by object size */
	int64_t metadata_ttl_ms;  /* how long listings and attributes are believed; default 5000 */
	uint64_t readahead_bytes; /* most read ahead per open file; default 16 MiB */

	bool foreground, debug;
	bool readonly;            /* the whole mount */
	bool noexec;              /* no program is run from the mount */
	bool allow_other, allow_root;
	uid_t uid;                /* owner of what carries none; default: who mounts */
	gid_t gid;
	mode_t file_mode, dir_mode; /* of what carries none: 0644 and 0755 less umask */
	char *log_file;           /* NULL: syslog in the background, stderr with -f */
	char *fsname;             /* what `mount` shows as source; default "s3bridge" */
};

void config_init(struct config *c); /* the defaults */
void config_clear(struct config *c); /* wipes secrets, frees */
void config_wipe_secrets(struct config *c); /* once the buckets are made, nobody needs the keys here any more */

/* Each: 0, or -1 with the sentence in ERR. */
int config_read_file(struct config *c, const char *path, char *err, size_t err_size);
int config_add_argument(struct config *c, const char *arg, char *err, size_t err_size); /* NAME=s3://BUCKET[/PREFIX][?...] */
int config_add_options(struct config *c, const char *opts, char *err, size_t err_size); /* the text after -o */
int config_set_mountpoint(struct config *c, const char *path, char *err, size_t err_size);
/* Checks the whole (at least one bucket, distinct names, mount point exists and is a directory, ...), fills defaults,
 * loads credentials of each bucket (s3_credentials_load) where the config has none. */
int config_finish(struct config *c, char *err, size_t err_size);

const char *writeback_name(enum writeback w);

#endif
