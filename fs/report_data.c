/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The history and the settings as JSON: an array for each quantity, which is compact and names each only once. */
#include "fs/report_data.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fs.h"
#include "fs/recorder.h"
#include "fs/status.h"
#include "s3/base/cleanup.h"

/* One value of a sample; I is the class or the path, for those that have some. */
typedef double (*value_fn)(const struct history_sample *s, unsigned i);

struct column {
	const char *name;
	value_fn value;
};

#define COLUMN(of, expression) \
	static double of(const struct history_sample *s, unsigned i) \
	{ \
		return (double)(expression); \
	}

COLUMN(start_ms, s->start_ms)
COLUMN(end_ms, s->end_ms)
COLUMN(copied_bytes, s->bytes[HISTORY_COPIED])
COLUMN(uploaded_bytes, s->bytes[HISTORY_UPLOADED])
COLUMN(downloaded_bytes, s->bytes[HISTORY_DOWNLOADED])
COLUMN(server_copied_bytes, s->bytes[HISTORY_SERVER_COPIED])
COLUMN(memory_bytes, s->memory_bytes)
COLUMN(done, s->done)
COLUMN(failed, s->failed)
COLUMN(retries, s->retries)
COLUMN(throttled, s->throttled)

COLUMN(running, s->classes[i].running)
COLUMN(queued, s->classes[i].queued)
COLUMN(slots, s->classes[i].slots)
COLUMN(changes, s->classes[i].changes)
COLUMN(p50_ms, s->classes[i].p50_ms)
COLUMN(p90_ms, s->classes[i].p90_ms)
COLUMN(p99_ms, s->classes[i].p99_ms)

COLUMN(path_bytes, s->paths[i].bytes)
COLUMN(path_requests, s->paths[i].requests)
COLUMN(path_errors, s->paths[i].errors)
COLUMN(path_throttled, s->paths[i].throttled)
COLUMN(path_rtt_us, s->paths[i].rtt_us)
COLUMN(path_rtt_mean_us, s->paths[i].rtt_mean_us)
COLUMN(path_limit, s->paths[i].limit)
COLUMN(path_in_flight, s->paths[i].in_flight)

static const struct column sample_columns[] = {
	{"start_ms", start_ms},
	{"end_ms", end_ms},
	{"copied_bytes", copied_bytes},
	{"uploaded_bytes", uploaded_bytes},
	{"downloaded_bytes", downloaded_bytes},
	{"server_copied_bytes", server_copied_bytes},
	{"memory_bytes", memory_bytes},
	{"done", done},
	{"failed", failed},
	{"retries", retries},
	{"throttled", throttled},
	{NULL, NULL},
};
static const struct column class_columns[] = {
	{"running", running}, {"queued", queued}, {"slots", slots},   {"changes", changes},
	{"p50_ms", p50_ms},   {"p90_ms", p90_ms}, {"p99_ms", p99_ms}, {NULL, NULL},
};
static const struct column path_columns[] = {
	{"bytes", path_bytes},
	{"requests", path_requests},
	{"errors", path_errors},
	{"throttled", path_throttled},
	{"rtt_us", path_rtt_us},
	{"rtt_mean_us", path_rtt_mean_us},
	{"limit", path_limit},
	{"in_flight", path_in_flight},
	{NULL, NULL},
};

static void add_columns(json_t *o, const struct history *h, const struct column *columns, unsigned i)
{
	for (; columns->name; columns++) {
		json_t *list = json_array();

		for (size_t k = 0; k < h->count; k++) {
			double v = columns->value(&h->samples[k], i);

			json_array_append_new(list, v == floor(v) ? json_integer((json_int_t)v) : json_real(v));
		}
		json_object_set_new(o, columns->name, list);
	}
}

static json_t *columns_json(const struct history *h, const struct column *columns, unsigned i)
{
	json_t *o = json_object();

	add_columns(o, h, columns, i);
	return o;
}

static json_t *classes_json(const struct history *h)
{
	json_t *o = json_object();

	for (unsigned c = 0; c < SCHED_CLASS__COUNT; c++)
		json_object_set_new(o, sched_class_name(c), columns_json(h, class_columns, c));
	return o;
}

static json_t *paths_json(const struct history *h)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < h->path_count; i++) {
		json_t *o = columns_json(h, path_columns, i);

		json_object_set_new(o, "endpoint", status_text(h->paths[i].endpoint));
		json_object_set_new(o, "direction", json_string(sched_direction_name(h->paths[i].direction)));
		json_array_append_new(list, o);
	}
	return list;
}

/* Names and units as in the config file. 0 stands for what the engine chooses. */
static json_t *settings_json(const struct config *c, uint64_t memory_limit_bytes)
{
	return json_pack("{s:s, s:I, s:b, s:b, s:b, s:b, s:I, s:I, s:I, s:I, s:f, s:I, s:b}", "writeback",
			 writeback_name(c->writeback), "memory_limit", (json_int_t)memory_limit_bytes, "priority_queues",
			 c->priority_queues, "dynamic_memory", c->dynamic_memory, "streaming_optimizer",
			 c->streaming_optimizer, "network_monitor", c->network_monitor, "medium_from",
			 (json_int_t)c->medium_from_bytes, "low_from", (json_int_t)c->low_from_bytes, "chunk_workers",
			 (json_int_t)c->chunk_workers, "part_size", (json_int_t)c->part_size_bytes, "metadata_ttl",
			 (double)c->metadata_ttl_ms / 1000, "readahead", (json_int_t)c->readahead_bytes, "readonly",
			 c->readonly);
}

char *report_data_json(struct fs *fs, size_t *len)
{
	CLEANUP_FREE struct history *h = recorder_history(fs_recorder(fs));
	uint64_t limit_bytes = sched_memory_limit(sched_memory_of(fs_sched(fs)));
	json_t *o = h ? json_object() : NULL;
	char *text;

	if (!o)
		return NULL;
	json_object_set_new(o, "at_ms", json_integer((json_int_t)sched_now_ms(fs_sched(fs))));
	json_object_set_new(o, "settings", settings_json(fs_config(fs), limit_bytes));
	json_object_set_new(o, "memory_limit_bytes", json_integer((json_int_t)limit_bytes));
	json_object_set_new(o, "interval_ms", json_integer((json_int_t)h->interval_ms));
	json_object_set_new(o, "paths_left_out", json_integer((json_int_t)h->paths_left_out));
	json_object_set_new(o, "samples", columns_json(h, sample_columns, 0));
	json_object_set_new(o, "classes", classes_json(h));
	json_object_set_new(o, "paths", paths_json(h));
	text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6));
	json_decref(o);
	if (text)
		*len = strlen(text);
	return text;
}
