/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the engine measured and decided, as JSON and as text. */
#include "fs/status_engine.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "fs/escape.h"
#include "fs/status_print.h"
#include "s3/base/strbuf.h"
#include "sched/sched.h"

static json_t *integer(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *parts_json(const struct sched_engine_stats *es)
{
	return json_pack("{s:b,s:b,s:b,s:b}", "priority_queues", es->priority_queues, "dynamic_memory", es->dynamic_memory,
			 "streaming_optimizer", es->streaming_optimizer, "network_monitor", es->network_monitor);
}

static json_t *path_json(const struct sched_path_stats *p)
{
	json_t *o = json_object();

	json_object_set_new(o, "endpoint", json_string(p->endpoint));
	json_object_set_new(o, "direction", json_string(sched_direction_name(p->direction)));
	json_object_set_new(o, "quality", json_string(sched_band_name(p->band)));
	json_object_set_new(o, "rtt_us", integer(p->rtt_us));
	json_object_set_new(o, "rtt_mean_us", integer(p->rtt_mean_us));
	json_object_set_new(o, "first_byte_us", integer(p->first_byte_us));
	json_object_set_new(o, "goodput_bytes_per_s", integer((uint64_t)llround(p->goodput_bytes_per_s)));
	json_object_set_new(o, "connection_bytes_per_s", integer((uint64_t)llround(p->connection_bytes_per_s)));
	json_object_set_new(o, "concurrency_limit", integer(p->limit));
	json_object_set_new(o, "in_flight", integer(p->in_flight));
	json_object_set_new(o, "phase", json_string(p->phase));
	json_object_set_new(o, "requests", integer(p->requests));
	json_object_set_new(o, "errors", integer(p->errors));
	json_object_set_new(o, "throttled", integer(p->throttled));
	json_object_set_new(o, "bytes", integer(p->bytes));
	return o;
}

static json_t *class_json(const struct sched_class_stats *c)
{
	json_t *o = json_object();

	json_object_set_new(o, "workers_planned", integer(c->workers_planned));
	json_object_set_new(o, "worker_bytes", integer(c->worker_bytes));
	json_object_set_new(o, "memory_used_bytes", integer(c->memory_used_bytes));
	json_object_set_new(o, "memory_waits", integer(c->memory_waits));
	json_object_set_new(o, "memory_waited_ms", integer(c->memory_waited_ms));
	json_object_set_new(o, "changes", integer(c->changes));
	json_object_set_new(o, "p50_ms", json_integer(c->p50_ms));
	json_object_set_new(o, "p90_ms", json_integer(c->p90_ms));
	json_object_set_new(o, "p99_ms", json_integer(c->p99_ms));
	return o;
}

static json_t *profile_json(const struct sched_profile_stats *p)
{
	json_t *o = json_object();

	json_object_set_new(o, "name", json_string(p->name));
	json_object_set_new(o, "samples", integer(p->samples));
	json_object_set_new(o, "ratio", json_real(p->ratio));
	json_object_set_new(o, "error_before", json_real(p->error_before));
	json_object_set_new(o, "error_after", json_real(p->error_after));
	return o;
}

static void add_line(void *arg, const char *line)
{
	json_array_append_new(arg, json_string(line));
}

json_t *status_engine_json(struct sched *s)
{
	struct sched_engine_stats *es = malloc(sizeof(*es));
	json_t *o = json_object(), *paths = json_array(), *classes = json_object(), *profiles = json_array(),
	       *advice = json_array();

	if (!es || !o || !paths || !classes || !profiles || !advice) {
		json_decref(o);
		json_decref(paths);
		json_decref(classes);
		json_decref(profiles);
		json_decref(advice);
		free(es);
		return NULL;
	}
	sched_engine_stats(s, es);
	for (unsigned i = 0; i < es->path_count; i++)
		json_array_append_new(paths, path_json(&es->paths[i]));
	for (enum sched_class c = 0; c < SCHED_CLASS__COUNT; c++)
		json_object_set_new(classes, sched_class_name(c), class_json(&es->classes[c]));
	for (int i = 0; i < SCHED_PROFILES; i++)
		json_array_append_new(profiles, profile_json(&es->profiles[i]));
	sched_engine_advice(es, add_line, advice);
	json_object_set_new(o, "parts", parts_json(es));
	json_object_set_new(o, "network", paths);
	json_object_set_new(o, "classes", classes);
	json_object_set_new(o, "memory_profiles", profiles);
	json_object_set_new(o, "advice", advice);
	free(es);
	return o;
}

static void add_text_line(void *arg, const char *line)
{
	escape_line(arg, line);
	strbuf_addch(arg, '\n');
}

char *status_engine_advice(struct sched *s, size_t *len)
{
	CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
	struct sched_engine_stats *es = malloc(sizeof(*es));

	if (!es)
		return NULL;
	sched_engine_stats(s, es);
	sched_engine_advice(es, add_text_line, &text);
	free(es);
	*len = text.len;
	return strbuf_detach(&text);
}

/* -------------------------------------------------------------------------------------------------- as text */

static uint64_t number(json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

static void print_path(FILE *out, json_t *p)
{
	char rate[SIZE_TEXT_BYTES];

	fprintf(out, "  %-5s %s: %s, %" PRIu64 " ms round trip, %s/s, %" PRIu64 " in flight",
		json_string_value(json_object_get(p, "direction")), json_string_value(json_object_get(p, "endpoint")),
		json_string_value(json_object_get(p, "quality")), number(p, "rtt_us") / 1000,
		status_size(number(p, "goodput_bytes_per_s"), rate), number(p, "in_flight"));
	if (number(p, "concurrency_limit"))
		fprintf(out, " (limit %" PRIu64 ")", number(p, "concurrency_limit"));
	if (number(p, "throttled"))
		fprintf(out, ", %" PRIu64 " times asked to slow down", number(p, "throttled"));
	fputc('\n', out);
}

void status_engine_print(FILE *out, json_t *engine)
{
	json_t *paths = json_object_get(engine, "network"), *advice = json_object_get(engine, "advice"), *v;
	const char *name;
	size_t i;

	fputs("Engine  ", out);
	json_object_foreach(json_object_get(engine, "parts"), name, v)
		fprintf(out, " %s %s", name, json_is_true(v) ? "on" : "off");
	fputc('\n', out);
	json_array_foreach(paths, i, v) print_path(out, v);
	if (json_array_size(advice))
		fputs("Advice\n", out);
	json_array_foreach(advice, i, v) fprintf(out, "  %s\n", json_string_value(v));
}
