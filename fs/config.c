/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The configuration as a whole: defaults, the checks that need all of it, and its end. */
#include "fs/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fs/config_keys.h"
#include "fs/control.h"
#include "fs/keys.h"
#include "fs/memory_limit.h"
#include "fs/mounts.h"
#include "s3/s3.h"

#define READAHEAD_DEFAULT_BYTES ((uint64_t)16 << 20)

const char *writeback_name(enum writeback w)
{
	return w == WRITEBACK_ALL ? "all" : "none";
}

void config_init(struct config *c)
{
	*c = (struct config){
		.writeback = WRITEBACK_NONE,
		.priority_queues = true,
		.dynamic_memory = true,
		.streaming_optimizer = true,
		.network_monitor = true,
		.metadata_ttl_ms = 5000,
		.readahead_bytes = READAHEAD_DEFAULT_BYTES,
		.uid = getuid(),
		.gid = getgid(),
		.file_mode = 0644,
		.dir_mode = 0755,
	};
}

static void free_secret(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

void config_wipe_secrets(struct config *c)
{
	for (size_t i = 0; i < c->bucket_count; i++) {
		struct config_bucket *b = &c->buckets[i];

		free_secret(b->access_key_id);
		free_secret(b->secret_access_key);
		free_secret(b->session_token);
		b->access_key_id = b->secret_access_key = b->session_token = NULL;
	}
}

void config_clear(struct config *c)
{
	config_wipe_secrets(c);
	for (size_t i = 0; i < c->bucket_count; i++) {
		struct config_bucket *b = &c->buckets[i];

		free(b->name);
		free(b->bucket);
		free(b->prefix);
		free(b->endpoint);
		free(b->region);
		free(b->profile);
		free(b->ca_file);
	}
	free(c->buckets);
	free(c->mountpoint);
	free(c->log_file);
	free(c->fsname);
	*c = (struct config){0};
}

struct config_bucket *config_bucket_add(struct config *c, const char *name, const char *where, char *err,
					size_t err_size)
{
	struct config_bucket *grown, *b;

	if (!strcmp(name, CONTROL_DIR)) {
		snprintf(err, err_size, "%sthe name \"%s\" is taken by the mount's own status files: choose another", where,
			 name);
		return NULL;
	}
	if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..") || strlen(name) > KEY_NAME_MAX) {
		snprintf(err, err_size, "%s\"%.80s\" cannot be the name of a directory in the mount: choose another",
			 where, name);
		return NULL;
	}
	for (size_t i = 0; i < c->bucket_count; i++) {
		if (strcmp(c->buckets[i].name, name) == 0) {
			snprintf(err, err_size, "%sthe name \"%s\" is given twice: each bucket needs its own", where,
				 name);
			return NULL;
		}
	}
	grown = reallocarray(c->buckets, c->bucket_count + 1, sizeof(*grown));
	if (grown) {
		c->buckets = grown;
		b = &grown[c->bucket_count];
		*b = (struct config_bucket){.name = strdup(name), .prefix = strdup(""), .path_style = -1};
		c->bucket_count++; /* counted at once, so that config_clear frees what there is */
		if (b->name && b->prefix)
			return b;
	}
	snprintf(err, err_size, "out of memory");
	return NULL;
}

/* PATH against the directory the command was started in; the daemon itself lives in "/". NULL: out of memory. */
static char *absolute(const char *path)
{
	char cwd[PATH_MAX], *out;

	if (path[0] == '/')
		return strdup(path);
	if (!getcwd(cwd, sizeof(cwd)) || asprintf(&out, "%s/%s", strcmp(cwd, "/") ? cwd : "", path) < 0)
		return NULL;
	return out;
}

static int make_absolute(char **path, char *err, size_t err_size)
{
	char *full;

	if (!*path)
		return 0;
	full = absolute(*path);
	if (!full) {
		snprintf(err, err_size, "cannot find the directory of %s: %s", *path, strerror(errno));
		return -1;
	}
	free(*path);
	*path = full;
	return 0;
}

int config_set_mountpoint(struct config *c, const char *path, char *err, size_t err_size)
{
	char *resolved;

	free(c->mountpoint);
	c->mountpoint = NULL;
	if (!*path) {
		snprintf(err, err_size, "the mount point is an empty name: give a directory");
		return -1;
	}
	resolved = realpath(path, NULL);
	if (!resolved)
		resolved = absolute(path); /* config_finish says what is wrong with it */
	if (!resolved) {
		snprintf(err, err_size, "mount point %s: %s", path, strerror(errno));
		return -1;
	}
	c->mountpoint = resolved;
	return 0;
}

static int check_mountpoint(const char *path, char *err, size_t err_size)
{
	CLEANUP_MOUNT struct mount m = {0};
	struct statvfs vfs;
	struct stat st;
	bool is_fuse = mounts_at(path, &m) && strncmp(m.type, "fuse", 4) == 0;

	/* The kernel may remember the attributes of a mount whose daemon is gone; statvfs(3) asks the daemon. */
	if (stat(path, &st) < 0 || (is_fuse && statvfs(path, &vfs) < 0)) {
		if (errno == ENOTCONN || errno == ECONNABORTED)
			snprintf(err, err_size,
				 "mount point %s holds a dead mount, its daemon is gone: run \"%s %s\" first", path,
				 is_fuse && strcmp(m.type, MOUNTS_TYPE) == 0 ? "s3bridge unmount" : "umount -l", path);
		else if (errno == ENOENT)
			snprintf(err, err_size, "mount point %s does not exist: create the directory first", path);
		else
			snprintf(err, err_size, "mount point %s: %s", path, strerror(errno));
		return -1;
	}
	if (!S_ISDIR(st.st_mode)) {
		snprintf(err, err_size, "mount point %s is not a directory", path);
		return -1;
	}
	if (!is_fuse)
		return 0;
	if (strcmp(m.type, MOUNTS_TYPE) == 0)
		snprintf(err, err_size, "%s is already mounted: unmount it first with \"s3bridge unmount %s\"", path,
			 path);
	else
		snprintf(err, err_size, "mount point %s is busy: a file system of type %s is mounted there", path,
			 m.type);
	return -1;
}

/* Moves a string that was found to where none was given. */
static void adopt(char **to, char **from)
{
	if (!*to) {
		*to = *from;
		*from = NULL;
	}
}

static int load_credentials(struct config_bucket *b, char *err, size_t err_size)
{
	struct s3_credentials found = {0};
	char why[384];

	if (!b->access_key_id != !b->secret_access_key) {
		snprintf(err, err_size, "%s has %s but no %s: give both or neither", b->name,
			 b->access_key_id ? "an access_key_id" : "a secret_access_key",
			 b->access_key_id ? "secret_access_key" : "access_key_id");
		return -1;
	}
	if (b->access_key_id && b->profile) {
		snprintf(err, err_size, "%s has both a profile and an access_key_id: give one of them", b->name);
		return -1;
	}
	if (b->access_key_id && b->endpoint && b->region)
		return 0;
	if (s3_credentials_load(&found, b->profile, why, sizeof(why)) < 0) {
		snprintf(err, err_size, "%s: %s", b->name, why);
		return -1;
	}
	if (!b->access_key_id) {
		adopt(&b->access_key_id, &found.access_key_id);
		adopt(&b->secret_access_key, &found.secret_access_key);
		adopt(&b->session_token, &found.session_token);
	}
	adopt(&b->endpoint, &found.endpoint);
	adopt(&b->region, &found.region);
	s3_credentials_clear(&found);
	return 0;
}

static int finish_bucket(struct config_bucket *b, char *err, size_t err_size)
{
	if (!b->bucket) {
		snprintf(err, err_size, "[%s] does not say which bucket it is: add \"bucket = NAME\"", b->name);
		return -1;
	}
	if (make_absolute(&b->ca_file, err, err_size) < 0)
		return -1;
	if (b->ca_file && access(b->ca_file, R_OK) < 0) {
		snprintf(err, err_size, "%s: cannot read ca_file %s: %s", b->name, b->ca_file, strerror(errno));
		return -1;
	}
	return load_credentials(b, err, err_size);
}

int config_finish(struct config *c, char *err, size_t err_size)
{
	if (!c->mountpoint) {
		snprintf(err, err_size, "no mount point given");
		return -1;
	}
	if (!c->bucket_count) {
		snprintf(err, err_size, "no bucket given: add NAME=s3://BUCKET, or a config file with -c FILE");
		return -1;
	}
	if (c->allow_other && c->allow_root) {
		snprintf(err, err_size, "allow_other and allow_root exclude each other: give one of them");
		return -1;
	}
	if (!c->fsname && !(c->fsname = strdup("s3bridge"))) {
		snprintf(err, err_size, "out of memory");
		return -1;
	}
	if (check_mountpoint(c->mountpoint, err, err_size) < 0 || make_absolute(&c->log_file, err, err_size) < 0)
		return -1;
	for (size_t i = 0; i < c->bucket_count; i++)
		if (finish_bucket(&c->buckets[i], err, err_size) < 0)
			return -1;
	if (!c->memory_limit_bytes)
		c->memory_limit_bytes = memory_limit_default(memory_limit_ram_bytes(), memory_limit_cgroup_bytes("/"));
	return 0;
}
