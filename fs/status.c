/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The daemon's state as JSON. Names end in their unit. */
#include "fs/status.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fs/fs.h"
#include "fs/version.h"
#include "fs/status_engine.h"
#include "s3/base/cleanup.h"
#include "s3/base/clock.h"
#include "sched/memory.h"
#include "sched/sched.h"

static int64_t started_ms;
static int io_fd = -1; /* /proc/self/io, opened while we may: a process without core dumps cannot open it */

void status_start(void)
{
	started_ms = clock_monotonic_ms();
	if (io_fd < 0)
		io_fd = open("/proc/self/io", O_RDONLY | O_CLOEXEC);
}

uint64_t status_uptime_ms(void)
{
	return (uint64_t)(clock_monotonic_ms() - started_ms);
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

json_t *status_text(const char *s)
{
	json_t *text = json_string(s);
	size_t len = strlen(s), at = 0;
	CLEANUP_FREE char *escaped = NULL;

	if (text)
		return text;
	escaped = malloc(len * 4 + 1);
	if (!escaped)
		return NULL;
	/* Somewhere it is no UTF-8: then every byte beyond ASCII is escaped, which nobody can misread. */
	for (size_t i = 0; i < len; i++)
		at += (size_t)sprintf(escaped + at, (unsigned char)s[i] < 0x80 ? "%c" : "\\x%02x", (unsigned char)s[i]);
	escaped[at] = '\0';
	return json_string(escaped);
}

static char *dump(json_t *root, size_t *len)
{
	char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL, *out = NULL;

	json_decref(root);
	if (text && asprintf(&out, "%s\n", text) < 0)
		out = NULL;
	free(text);
	if (out)
		*len = strlen(out);
	return out;
}

/* ------------------------------------------------------------------------------------------------- the parts */

static json_t *bucket_json(const struct config_bucket *b)
{
	const char *region = b->region ? b->region : "us-east-1";
	char endpoint[160];
	json_t *o = json_object();

	snprintf(endpoint, sizeof(endpoint), "https://s3.%s.amazonaws.com", region);
	json_object_set_new(o, "name", status_text(b->name));
	json_object_set_new(o, "bucket", status_text(b->bucket));
	json_object_set_new(o, "prefix", status_text(b->prefix));
	json_object_set_new(o, "endpoint", status_text(b->endpoint ? b->endpoint : endpoint));
	json_object_set_new(o, "region", status_text(region));
	json_object_set_new(o, "readonly", json_boolean(b->readonly));
	return o;
}

static json_t *buckets_json(const struct config *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->bucket_count; i++)
		json_array_append_new(list, bucket_json(&c->buckets[i]));
	return list;
}

static json_t *queues_json(const struct sched_stats *s)
{
	json_t *queues = json_object(), *q;

	for (enum sched_class c = 0; c < SCHED_CLASS__COUNT; c++) {
		q = json_object();
		json_object_set_new(q, "queued", number(s->queued[c]));
		json_object_set_new(q, "running", number(s->running[c]));
		json_object_set_new(q, "slots", number(s->slots[c]));
		json_object_set_new(queues, sched_class_name(c), q);
	}
	return queues;
}

static json_t *requests_json(const struct sched_stats *s)
{
	json_t *requests = json_object();

	for (enum s3_op op = 0; op < S3_OP__COUNT; op++)
		if (s->requests[op])
			json_object_set_new(requests, s3_op_name(op), number(s->requests[op]));
	json_object_set_new(requests, "retries", number(s->retries));
	json_object_set_new(requests, "throttled", number(s->throttled));
	json_object_set_new(requests, "hedged", number(s->hedged));
	json_object_set_new(requests, "hedges_won", number(s->hedges_won));
	return requests;
}

static json_t *traffic_json(const struct sched_stats *s)
{
	json_t *o = json_object();

	json_object_set_new(o, "copied_bytes", number(s->copied_bytes));
	json_object_set_new(o, "server_copied_bytes", number(s->server_copied_bytes));
	json_object_set_new(o, "uploaded_bytes", number(s->uploaded_bytes));
	json_object_set_new(o, "downloaded_bytes", number(s->downloaded_bytes));
	return o;
}

static json_t *memory_json(struct sched *sched)
{
	static const char *const names[SCHED_MEMORY__COUNT] = {
		[SCHED_MEMORY_RELAY] = "relay_bytes",
		[SCHED_MEMORY_WRITE] = "write_bytes",
		[SCHED_MEMORY_PART] = "part_bytes",
		[SCHED_MEMORY_READ] = "read_bytes",
	};
	struct sched_memory_stats m;
	struct rusage usage;
	json_t *o = json_object();

	sched_memory_stats(sched_memory_of(sched), &m);
	json_object_set_new(o, "limit_bytes", number(m.limit_bytes));
	for (int kind = 0; kind < SCHED_MEMORY__COUNT; kind++)
		json_object_set_new(o, names[kind], number(m.used_bytes[kind]));
	json_object_set_new(o, "peak_bytes", number(m.peak_bytes));
	json_object_set_new(o, "waits", number(m.waits));
	json_object_set_new(o, "waited_ms", number(m.waited_us / 1000));
	json_object_set_new(o, "waiting", number(m.waiting));
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		json_object_set_new(o, "resident_peak_bytes", number((uint64_t)usage.ru_maxrss * 1024));
	return o;
}

static json_t *files_json(struct fs *fs)
{
	struct fs_stats s;
	json_t *o = json_object();

	fs_stats(fs, &s);
	json_object_set_new(o, "nodes", number(s.nodes));
	json_object_set_new(o, "open", number(s.open_files));
	json_object_set_new(o, "lookups_cached", number(s.lookups_cached));
	json_object_set_new(o, "lookups_asked", number(s.lookups_asked));
	json_object_set_new(o, "reads", number(s.reads));
	json_object_set_new(o, "read_bytes", number(s.read_bytes));
	json_object_set_new(o, "writes", number(s.writes));
	json_object_set_new(o, "written_bytes", number(s.written_bytes));
	json_object_set_new(o, "copy_ranges", number(s.copy_ranges));
	json_object_set_new(o, "copy_range_bytes", number(s.copy_range_bytes));
	return o;
}

/* Bytes this process made the kernel write to storage: nothing should be staged there. Null when the kernel does not
 * say. */
static json_t *disk_written_json(void)
{
	char text[512];
	ssize_t len = io_fd >= 0 ? pread(io_fd, text, sizeof(text) - 1, 0) : -1;
	const char *line;
	uint64_t bytes;

	if (len < 0)
		return json_null();
	text[len] = '\0';
	line = strstr(text, "\nwrite_bytes: ");
	return line && sscanf(line, " write_bytes: %" SCNu64, &bytes) == 1 ? number(bytes) : json_null();
}

static void add_failure(void *arg, const char *path, const char *error)
{
	json_t *list = arg, *o;

	if (json_array_size(list) >= STATUS_FAILURES_MAX)
		return;
	o = json_object();
	json_object_set_new(o, "path", status_text(path));
	json_object_set_new(o, "error", status_text(error));
	json_array_append_new(list, o);
}

static void add_changes(json_t *o, struct fs *fs, const char *path)
{
	struct fs_pending pending;
	json_t *failures = json_array();

	fs_pending(fs, path, &pending);
	json_object_set_new(o, "pending", number(pending.changes));
	json_object_set_new(o, "pending_bytes", number(pending.bytes));
	json_object_set_new(o, "failed", number(fs_failures(fs, path, add_failure, failures)));
	json_object_set_new(o, "failures", failures);
}

/* ------------------------------------------------------------------------------------------------- the whole */

char *status_changes_json(struct fs *fs, const char *path, size_t *len)
{
	json_t *o = json_object();

	if (o)
		add_changes(o, fs, path);
	return dump(o, len);
}

char *status_json(struct fs *fs, json_t *jobs, size_t *len)
{
	const struct config *c = fs_config(fs);
	struct sched_stats stats;
	json_t *o = json_object(), *changes = json_object();

	sched_stats(fs_sched(fs), &stats);
	json_object_set_new(o, "version", json_string(PACKAGE_VERSION));
	json_object_set_new(o, "pid", number((uint64_t)getpid()));
	json_object_set_new(o, "uptime_ms", number(status_uptime_ms()));
	json_object_set_new(o, "mountpoint", status_text(c->mountpoint));
	json_object_set_new(o, "writeback", json_string(writeback_name(c->writeback)));
	json_object_set_new(o, "readonly", json_boolean(c->readonly));
	json_object_set_new(o, "buckets", buckets_json(c));
	if (changes)
		add_changes(changes, fs, "/");
	json_object_set_new(changes, "active", number(stats.jobs_active));
	json_object_set_new(changes, "waiting_for_order", number(stats.jobs_waiting));
	json_object_set_new(changes, "done", number(stats.jobs_done));
	json_object_set_new(o, "changes", changes);
	json_object_set_new(o, "jobs", jobs);
	json_object_set_new(o, "queues", queues_json(&stats));
	json_object_set_new(o, "requests", requests_json(&stats));
	json_object_set_new(o, "engine", status_engine_json(fs_sched(fs)));
	json_object_set_new(o, "traffic", traffic_json(&stats));
	json_object_set_new(o, "memory", memory_json(fs_sched(fs)));
	json_object_set_new(o, "files", files_json(fs));
	json_object_set_new(o, "disk_written_bytes", disk_written_json());
	return dump(o, len);
}
