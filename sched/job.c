/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Jobs: submission, order, the states that every job has, and the end. */
#include "sched/job.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "s3/base/clock.h"
#include "s3/base/log.h"
#include "sched/extent.h"
#include "sched/xalloc.h"

static void job_delete(struct job *j);
static void job_close(struct job *j);
static void job_end(struct job *j);

static const struct {
	const char *name;
	void (*enter)(struct job *j); /* NULL: only waits */
} states[JOB_STATE__COUNT] = {
	[JOB_WAITING] = {"waiting", NULL},
	[JOB_PLANNING] = {"planning", commit_plan},
	[JOB_PUTTING] = {"sending", commit_put},
	[JOB_COPYING] = {"server copy", commit_copy},
	[JOB_UPLOADING] = {"sending parts", commit_upload},
	[JOB_COMPLETING] = {"completing", commit_complete},
	[JOB_CLEANING] = {"cleaning up", commit_clean},
	[JOB_DELETING] = {"deleting", job_delete},
	[JOB_CLOSING] = {"closing", job_close},
	[JOB_ENDING] = {"ended", job_end},
};

static const char *kind_name(const struct job *j)
{
	size_t i;

	if (j->is_delete)
		return "delete";
	for (i = 0; i < j->extent_count; i++)
		if (j->extents[i].kind == SCHED_EXTENT_COPY)
			return "copy";
	return "upload";
}

void job_enter(struct job *j, enum job_state state)
{
	struct sched *s = j->sched;

	sched_assert_thread(s);
	log_debug("job %llu %s/%s: %s, was %s", (unsigned long long)j->handle.id, s3_bucket_label(j->bucket), j->key,
		  states[state].name, states[j->state].name);
	if (j->state == JOB_WAITING)
		s->stats.jobs_waiting--;
	j->state = state;
	if (state == JOB_WAITING)
		s->stats.jobs_waiting++;
	if (states[state].enter)
		states[state].enter(j);
}

void job_fail(struct job *j, enum s3_error error, const char *fmt, ...)
{
	char text[448];
	va_list ap;

	assert(error != S3_OK);
	if (j->error != S3_OK)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	j->error = error;
	j->message_text = xstrdup(text);
}

void job_finish(struct job *j)
{
	job_enter(j, j->upload ? JOB_CLOSING : JOB_ENDING);
}

/* There is no other request on which the job could wait as well. */
static bool is_awaited(const struct sched_task *t)
{
	return true;
}

void job_start_task(struct job *j, enum sched_class class, uint64_t relay_bytes,
		    struct s3_request *(*build)(struct sched_task *t),
		    void (*done)(struct sched *s, struct sched_task *t, const struct s3_result *r))
{
	j->task.class = class;
	j->task.since_ms = j->since_ms;
	j->task.remaining_bytes = j->plan.size_bytes;
	j->task.read_from = relay_bytes ? extents_first_bucket(j->extents, j->extent_count) : NULL;
	j->task.write_to = j->bucket;
	j->task.relay_bytes = relay_bytes;
	j->task.body_bytes = j->plan.size_bytes;
	j->task.is_awaited = is_awaited;
	j->task.build = build;
	j->task.done = done;
	task_start(j->sched, &j->task);
}

/* ----------------------------------------------------------------------------------------------------- order */

static void claim(struct job *j, const struct s3_bucket *bucket, const char *key, bool write)
{
	const char *endpoint = s3_bucket_endpoint(bucket), *name = s3_bucket_name(bucket);
	size_t endpoint_len = strlen(endpoint) + 1, name_len = strlen(name) + 1, key_len = strlen(key);
	char buf[512], *place = buf;

	/* By endpoint and name, because one bucket may be mounted twice. */
	if (endpoint_len + name_len + key_len > sizeof(buf))
		place = xcalloc(1, endpoint_len + name_len + key_len);
	memcpy(place, endpoint, endpoint_len);
	memcpy(place + endpoint_len, name, name_len);
	memcpy(place + endpoint_len + name_len, key, key_len);
	order_claim(j->sched->order, &j->order, place, endpoint_len + name_len + key_len, write);
	if (place != buf)
		free(place);
}

static void claim_all(struct job *j)
{
	const struct sched_source *last = NULL;
	size_t i;

	claim(j, j->bucket, j->key, true);
	if (j->upload && (j->upload->bucket != j->bucket || strcmp(j->upload->key, j->key) != 0))
		claim(j, j->upload->bucket, j->upload->key, true);
	for (i = 0; i < j->extent_count; i++) {
		const struct sched_source *src = j->extents[i].source;

		if (j->extents[i].kind != SCHED_EXTENT_COPY || src == last)
			continue;
		claim(j, src->bucket, src->key, false);
		last = src;
	}
}

static void make_runnable(struct job *j)
{
	struct sched *s = j->sched;

	if (j->runnable)
		return;
	j->runnable = true;
	j->run_next = NULL;
	if (s->runnable_last)
		s->runnable_last->run_next = j;
	else
		s->runnable_first = j;
	s->runnable_last = j;
}

void jobs_run(struct sched *s)
{
	struct job *j;

	while ((j = s->runnable_first)) {
		s->runnable_first = j->run_next;
		if (!s->runnable_first)
			s->runnable_last = NULL;
		j->runnable = false;
		if (j->cancelled)
			job_fail(j, S3_ERR_CANCELLED, "the change of %s/%s was cancelled before it began",
				 s3_bucket_label(j->bucket), j->key);
		if (j->error != S3_OK)
			job_finish(j);
		else
			job_enter(j, j->is_delete ? JOB_DELETING : JOB_PLANNING);
	}
}

/* Lets go of what J holds, and starts or dooms those that waited for it. */
static void release_order(struct job *j)
{
	struct order_ended ended = order_end(j->sched->order, &j->order, j->error != S3_OK);
	struct order_change *c, *next;

	for (c = ended.ready; c; c = next) {
		next = c->next;
		make_runnable(container_of(c, struct job, order));
	}
	for (c = ended.doomed; c; c = next) {
		struct job *d = container_of(c, struct job, order);

		next = c->next;
		job_fail(d, S3_ERR_CANCELLED, "%s/%s was left as it is: copying it to %s/%s had failed", s3_bucket_label(d->bucket),
			 d->key, s3_bucket_label(j->bucket), j->key);
		make_runnable(d);
	}
}

/* ------------------------------------------------------------------------------------------------------- end */

static void closed(void *arg)
{
	job_enter(arg, JOB_ENDING);
}

static void job_close(struct job *j)
{
	struct sched_upload *u = j->upload;

	j->upload = NULL;
	upload_end(u, closed, j);
}

static void tell(struct job *j)
{
	struct sched_result r = {.error = j->error, .size_bytes = j->plan.size_bytes};

	if (j->error != S3_OK) {
		snprintf(r.message, sizeof(r.message), "%s", j->message_text);
	} else {
		snprintf(r.etag, sizeof(r.etag), "%s", j->etag);
		r.last_modified = j->last_modified.tv_sec ? j->last_modified : clock_realtime();
	}
	if (j->done)
		j->done(j->arg, &r);
}

static void job_end(struct job *j)
{
	struct sched *s = j->sched;

	assert(!j->upload && j->parts_out == 0 && !task_is_active(&j->task) && !j->runnable);
	sched_extents_free(j->extents, j->extent_count); /* before it is told: the submitter may count them */
	j->extents = NULL;
	j->extent_count = 0;
	handle_remove(s, &j->handle);
	DL_DELETE(s->jobs, j);
	s->stats.jobs_active--;
	if (j->error == S3_OK)
		s->stats.jobs_done++, engine_count_latency(s, j->class, s->now_ms - j->since_ms);
	else
		s->stats.jobs_failed++;
	tell(j);
	release_order(j);

	plan_clear(&j->plan);
	s3_headers_clear(&j->headers);
	free(j->first_key);
	free(j->message_text);
	free(j->key);
	free(j);
}

/* ---------------------------------------------------------------------------------------------------- delete */

static struct s3_request *delete_build(struct sched_task *t)
{
	struct job *j = container_of(t, struct job, task);

	return xalloc_check(s3_request_new(S3_OP_DELETE, j->bucket, j->key));
}

static void delete_done(struct sched *s, struct sched_task *t, const struct s3_result *r)
{
	struct job *j = container_of(t, struct job, task);

	j->retries += t->attempts ? t->attempts - 1 : 0;
	if (r->error != S3_OK && r->error != S3_ERR_NOT_FOUND)
		job_fail(j, r->error, "%s", r->message);
	job_finish(j);
}

static void job_delete(struct job *j)
{
	job_start_task(j, SCHED_HIGH, 0, delete_build, delete_done);
}

/* ------------------------------------------------------------------------------------------- coming and going */

static void job_cancel(struct job *j)
{
	if (j->cancelled)
		return;
	j->cancelled = true;
	switch (j->state) {
	case JOB_WAITING:
		make_runnable(j);
		break;
	case JOB_PUTTING:
	case JOB_COPYING:
	case JOB_DELETING:
		task_cancel(j->sched, &j->task);
		break;
	case JOB_UPLOADING:
		job_fail(j, S3_ERR_CANCELLED, "the upload of %s/%s was cancelled", s3_bucket_label(j->bucket), j->key);
		job_finish(j);
		break;
	default: /* too late: it is about to end, and soon */
		break;
	}
}

static void handle_cancel(struct sched *s, struct handle *h)
{
	job_cancel(container_of(h, struct job, handle));
}

static void job_run(struct sched *s, struct message *m)
{
	struct job *j = container_of(m, struct job, message);

	j->since_ms = s->now_ms;
	j->class = j->is_delete ? SCHED_HIGH : queue_class_of(&s->queue, extents_length(j->extents, j->extent_count));
	handle_add(s, &j->handle);
	DL_APPEND(s->jobs, j);
	s->stats.jobs_active++;
	s->stats.jobs_waiting++; /* JOB_WAITING is where it begins */
	if (j->upload)
		commit_adopt_upload(j);
	claim_all(j);
	if (s->stopping)
		job_cancel(j);
	if (order_ready(&j->order))
		make_runnable(j);
}

static struct job *job_new(struct sched *s, const struct s3_bucket *bucket, const char *key, sched_done_fn done, void *arg)
{
	struct job *j = xcalloc(1, sizeof(*j));

	j->message.run = job_run;
	j->handle.id = sched_new_id(s);
	j->handle.cancel = handle_cancel;
	j->sched = s;
	j->bucket = bucket;
	j->key = xstrdup(key);
	j->done = done;
	j->arg = arg;
	return j;
}

uint64_t sched_commit(struct sched *s, const struct sched_commit *c)
{
	struct job *j = job_new(s, c->bucket, c->key, c->done, c->arg);
	uint64_t id = j->handle.id;

	if (c->headers && s3_headers_copy(&j->headers, c->headers) < 0)
		xalloc_check(NULL);
	j->extents = c->extents;
	j->extent_count = c->extent_count;
	j->upload = c->upload;
	sched_post(s, &j->message);
	return id;
}

uint64_t sched_delete(struct sched *s, const struct s3_bucket *bucket, const char *key, sched_done_fn done, void *arg)
{
	struct job *j = job_new(s, bucket, key, done, arg);
	uint64_t id = j->handle.id;

	j->is_delete = true;
	sched_post(s, &j->message);
	return id;
}

void jobs_cancel_all(struct sched *s)
{
	struct job *j, *next;

	DL_FOREACH_SAFE(s->jobs, j, next)
		job_cancel(j);
}

/* --------------------------------------------------------------------------------------------------- listing */

struct jobs_message {
	struct message message;
	sched_job_fn call;
	void *arg;
};

static void jobs_list(struct sched *s, struct message *m)
{
	struct jobs_message *jm = container_of(m, struct jobs_message, message);
	const struct job *j;

	DL_FOREACH(s->jobs, j) {
		struct sched_job_info info = {
			.id = j->handle.id,
			.kind = kind_name(j),
			.state = states[j->state].name,
			.bucket = s3_bucket_label(j->bucket),
			.key = j->key,
			.class = j->class,
			.size_bytes = extents_length(j->extents, j->extent_count),
			.done_bytes = j->done_bytes,
			.age_ms = s->now_ms - j->since_ms,
			.attempts = j->retries,
		};

		jm->call(jm->arg, &info);
	}
	jm->call(jm->arg, NULL);
	free(jm);
}

void sched_jobs(struct sched *s, sched_job_fn call, void *arg)
{
	struct jobs_message *jm = xcalloc(1, sizeof(*jm));

	jm->message.run = jobs_list;
	jm->call = call;
	jm->arg = arg;
	sched_post(s, &jm->message);
}
