/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The scheduler's list of changes, written down for people and programs. */
#include "fs/jobs.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fs/escape.h"
#include "fs/status.h"

static bool is_waiting(const struct sched_job_info *info)
{
	return !strcmp(info->state, "waiting");
}

/* Of a change without bytes only its end is known. */
static double percent_done(const struct sched_job_info *info)
{
	return info->size_bytes ? 100.0 * (double)info->done_bytes / (double)info->size_bytes : 0;
}

void jobs_add_line(struct strbuf *out, const struct sched_job_info *info)
{
	strbuf_addf(out, "%" PRIu64 " %s %s ", info->id, info->kind, sched_class_name(info->class));
	for (const char *s = info->state; *s; s++)
		strbuf_addch(out, *s == ' ' ? '-' : *s);
	strbuf_addf(out, " %" PRIu64 "/%" PRIu64 " %.1f%% %.1fs %u ", info->done_bytes, info->size_bytes,
		    percent_done(info), (double)info->age_ms / 1000, info->attempts);
	escape_line(out, info->bucket);
	strbuf_addch(out, '/');
	escape_line(out, info->key);
	strbuf_addch(out, '\n');
}

/* --------------------------------------------------------------------------------------------------- summary */

static void entry_clear(struct sched_job_info *e)
{
	free((char *)e->key);
	e->key = NULL;
}

static void keep_if_large(struct jobs_summary *s, const struct sched_job_info *info)
{
	unsigned at = s->largest_count;
	char *key;

	/* The older one first where they are equal. */
	while (at && s->largest[at - 1].size_bytes < info->size_bytes)
		at--;
	if (at == JOBS_LARGEST_MAX)
		return;
	key = strdup(info->key);
	if (!key)
		return; /* it is counted all the same */
	if (s->largest_count == JOBS_LARGEST_MAX)
		entry_clear(&s->largest[--s->largest_count]);
	memmove(&s->largest[at + 1], &s->largest[at], (s->largest_count - at) * sizeof(*s->largest));
	s->largest[at] = *info;
	s->largest[at].key = key;
	s->largest_count++;
}

void jobs_summary_add(struct jobs_summary *s, const struct sched_job_info *info)
{
	assert(s->largest_count <= JOBS_LARGEST_MAX);
	s->size_bytes += info->size_bytes;
	s->done_bytes += info->done_bytes;
	if (is_waiting(info)) {
		s->waiting++;
		return;
	}
	s->running++;
	keep_if_large(s, info);
}

void jobs_summary_clear(struct jobs_summary *s)
{
	for (unsigned i = 0; i < s->largest_count; i++)
		entry_clear(&s->largest[i]);
	*s = (struct jobs_summary){0};
}

static json_t *entry_json(const struct sched_job_info *info)
{
	json_t *o = json_object();

	json_object_set_new(o, "id", json_integer((json_int_t)info->id));
	json_object_set_new(o, "kind", json_string(info->kind));
	json_object_set_new(o, "class", json_string(sched_class_name(info->class)));
	json_object_set_new(o, "state", json_string(info->state));
	json_object_set_new(o, "bucket", status_text(info->bucket));
	json_object_set_new(o, "key", status_text(info->key));
	json_object_set_new(o, "size_bytes", json_integer((json_int_t)info->size_bytes));
	json_object_set_new(o, "done_bytes", json_integer((json_int_t)info->done_bytes));
	json_object_set_new(o, "age_ms", json_integer(info->age_ms));
	json_object_set_new(o, "retries", json_integer(info->attempts));
	return o;
}

json_t *jobs_summary_json(const struct jobs_summary *s)
{
	json_t *o = json_object(), *list = json_array();

	for (unsigned i = 0; i < s->largest_count; i++)
		json_array_append_new(list, entry_json(&s->largest[i]));
	json_object_set_new(o, "running", json_integer(s->running));
	json_object_set_new(o, "waiting", json_integer(s->waiting));
	json_object_set_new(o, "size_bytes", json_integer((json_int_t)s->size_bytes));
	json_object_set_new(o, "done_bytes", json_integer((json_int_t)s->done_bytes));
	json_object_set_new(o, "largest", list);
	return o;
}
