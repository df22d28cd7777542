/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Multipart uploads. */
#include "sched/upload.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "s3/base/log.h"
#include "sched/plan.h"
#include "sched/xalloc.h"

static void pump(struct sched_upload *u);
static void end_if_quiet(struct sched_upload *u);

struct sched_upload *upload_new(struct sched *s, const struct s3_bucket *bucket, const char *key,
				const struct s3_headers *headers)
{
	struct sched_upload *u = xcalloc(1, sizeof(*u));

	u->sched = s;
	u->bucket = bucket;
	u->key = xstrdup(key);
	u->class = SCHED_MEDIUM;
	if (headers && s3_headers_copy(&u->headers, headers) < 0)
		xalloc_check(NULL);
	return u;
}

static void upload_free(struct sched_upload *u)
{
	assert(!u->pending && !u->active && !task_is_active(&u->control));
	if (u->is_open)
		u->sched->open_uploads[u->open_class]--;
	if (u->listed)
		DL_DELETE(u->sched->uploads, u);
	s3_headers_clear(&u->headers);
	free(u->key);
	free(u->upload_id);
	free(u->message);
	free(u->parts);
	free(u->complete_parts);
	free(u);
}

bool upload_is_idle(const struct sched_upload *u)
{
	return !u->pending && !u->active;
}

const struct s3_part *upload_find(const struct sched_upload *u, uint32_t number)
{
	if (number == 0 || number > u->part_capacity || u->parts[number - 1].number == 0)
		return NULL;
	return &u->parts[number - 1];
}

static void remember_part(struct sched_upload *u, const struct upload_part *p, const char *etag)
{
	struct s3_part *part;

	if (p->number > u->part_capacity) {
		size_t capacity = u->part_capacity ? u->part_capacity : 16;

		while (capacity < p->number)
			capacity *= 2;
		u->parts = xreallocarray(u->parts, capacity, sizeof(*u->parts));
		memset(u->parts + u->part_capacity, 0, (capacity - u->part_capacity) * sizeof(*u->parts));
		u->part_capacity = capacity;
	}
	part = &u->parts[p->number - 1];
	part->number = p->number;
	part->size_bytes = p->length_bytes;
	snprintf(part->etag, sizeof(part->etag), "%s", etag);
}

/* The parts that still wait get the upload's own failure. */
static void fail(struct sched_upload *u, enum s3_error error, const char *message)
{
	struct s3_result r = {.error = error, .retry_after_ms = -1};
	struct upload_part *p;

	u->state = UPLOAD_FAILED;
	if (!u->message) {
		u->error = error;
		u->message = xstrdup(message);
	}
	snprintf(r.message, sizeof(r.message), "%s", message);
	while ((p = u->pending)) {
		DL_DELETE(u->pending, p);
		p->ended(p, &r);
	}
}

/* ----------------------------------------------------------------------------------------------------- parts */

static struct s3_request *part_build(struct sched_task *t)
{
	struct upload_part *p = container_of(t, struct upload_part, task);
	struct s3_request *r = p->build(p);

	r->upload_id = xstrdup(p->upload->upload_id);
	r->part_number = p->number;
	return r;
}

/* A request of U has ended: the next ones, or the end. */
static void go_on(struct sched_upload *u)
{
	if (u->ending) {
		end_if_quiet(u);
		return;
	}
	pump(u);
	if (upload_is_idle(u) && u->idle)
		u->idle(u);
}

static void part_done(struct sched *s, struct sched_task *t, const struct s3_result *r)
{
	struct upload_part *p = container_of(t, struct upload_part, task);
	struct sched_upload *u = p->upload;

	DL_DELETE(u->active, p);
	u->active_count--;
	if (r->error == S3_OK) {
		remember_part(u, p, r->etag);
		u->sent_bytes += p->length_bytes;
	}
	p->ended(p, r);
	go_on(u);
}

static uint64_t remaining(const struct sched_upload *u)
{
	return u->size_bytes > u->sent_bytes ? u->size_bytes - u->sent_bytes : 0;
}

static void control_start(struct sched_upload *u, struct s3_request *(*build)(struct sched_task *t),
			  void (*done)(struct sched *s, struct sched_task *t, const struct s3_result *r))
{
	u->control.class = u->class;
	u->control.since_ms = u->since_ms;
	u->control.remaining_bytes = remaining(u);
	u->control.write_to = u->bucket;
	u->control.opens_object = u->state == UPLOAD_CREATING && u->is_of_commit;
	u->control.build = build;
	u->control.done = done;
	task_start(u->sched, &u->control);
}

static struct s3_request *create_build(struct sched_task *t)
{
	struct sched_upload *u = container_of(t, struct sched_upload, control);
	struct s3_request *r = xalloc_check(s3_request_new(S3_OP_UPLOAD_CREATE, u->bucket, u->key));

	if (s3_headers_copy(&r->headers, &u->headers) < 0)
		xalloc_check(NULL);
	if (t->opens_object) {
		u->is_open = true;
		u->open_class = t->class;
		u->sched->open_uploads[t->class]++;
	}
	return r;
}

static void create_done(struct sched *s, struct sched_task *t, const struct s3_result *r)
{
	struct sched_upload *u = container_of(t, struct sched_upload, control);

	if (r->error == S3_OK && r->upload_id) {
		u->upload_id = xstrdup(r->upload_id);
		u->state = UPLOAD_OPEN;
	} else if (r->error == S3_OK) {
		fail(u, S3_ERR_PROTOCOL, "the server created an upload without an upload id");
	} else {
		fail(u, r->error, r->message);
	}
	go_on(u);
}

#define WORKERS_LEAST 4u
#define WORKERS_MOST 32u

/* The path's limit, divided among the objects under way: few objects need many parts at once to fill a link. */
static unsigned workers_on(const struct sched *s, const struct net_path *p)
{
	unsigned objects = 0, workers, c;

	if (s->config.no_streaming_optimizer || s->config.chunk_workers || s->config.no_network_monitor)
		return s->chunk_workers;
	for (c = 0; c < SCHED_CLASS__COUNT; c++)
		objects += s->open_uploads[c];
	workers = (unsigned)p->limit / (objects ? objects : 1);
	return workers < WORKERS_LEAST ? WORKERS_LEAST : workers > WORKERS_MOST ? WORKERS_MOST : workers;
}

static struct net_path *path_to(struct sched *s, const struct s3_bucket *bucket)
{
	return &net_endpoint(&s->net, s3_bucket_endpoint(bucket), s->now_ms * 1000)->paths[SCHED_WRITE];
}

unsigned upload_workers(const struct sched_upload *u)
{
	return workers_on(u->sched, path_to(u->sched, u->bucket));
}

struct plan_link upload_link(struct sched *s, const struct s3_bucket *bucket)
{
	struct net_path *p = path_to(s, bucket);
	struct sched_path_stats st;

	if (s->config.no_network_monitor)
		return (struct plan_link){0};
	net_path_stats(p, s->now_ms * 1000, &st);
	return (struct plan_link){
		.factor = net_band_factor(st.band),
		.rtt_us = st.rtt_us,
		.bytes_per_s = st.connection_bytes_per_s,
		.workers = workers_on(s, p) < s->chunk_workers ? workers_on(s, p) : s->chunk_workers,
	};
}

/* Is all that is still to come of the object on its way? */
static bool part_is_awaited(const struct sched_task *t)
{
	const struct sched_upload *u = container_of(t, struct upload_part, task)->upload;
	const struct upload_part *p;
	uint64_t under_way = 0;

	DL_FOREACH(u->active, p)
		under_way += p->length_bytes;
	return !u->pending && u->size_bytes > 0 && u->sent_bytes + under_way >= u->size_bytes;
}

/* Starts what may start. Only the parts being sent are in the class's queue, so others get their turn soon. */
static void pump(struct sched_upload *u)
{
	struct upload_part *p;

	if (u->state == UPLOAD_NEW && u->pending) {
		u->state = UPLOAD_CREATING;
		control_start(u, create_build, create_done);
	}
	while (u->state == UPLOAD_OPEN && u->active_count < upload_workers(u) && (p = u->pending)) {
		DL_DELETE(u->pending, p);
		DL_APPEND(u->active, p);
		u->active_count++;
		p->task.class = u->class;
		p->task.since_ms = u->since_ms;
		p->task.remaining_bytes = remaining(u);
		p->task.read_from = p->relay_bytes ? p->read_from : NULL;
		p->task.write_to = u->bucket;
		p->task.relay_bytes = p->relay_bytes;
		p->task.body_bytes = p->length_bytes;
		p->task.object_bytes = u->size_bytes;
		p->task.workers = u->sched->chunk_workers;
		p->task.is_awaited = part_is_awaited;
		p->task.build = part_build;
		p->task.done = part_done;
		task_start(u->sched, &p->task);
	}
}

void upload_add(struct sched_upload *u, struct upload_part *p)
{
	sched_assert_thread(u->sched);
	assert(!u->ending && p->number >= 1 && p->number <= PLAN_PARTS_MAX);
	if (!u->listed) {
		u->listed = true;
		DL_APPEND(u->sched->uploads, u);
	}
	p->upload = u;
	DL_APPEND(u->pending, p);
	if (u->state == UPLOAD_FAILED) {
		char *message = xstrdup(u->message);

		fail(u, u->error, message);
		free(message);
		return;
	}
	assert(u->state <= UPLOAD_OPEN);
	pump(u);
}

/* -------------------------------------------------------------------------------------------------- complete */

static struct s3_request *complete_build(struct sched_task *t)
{
	struct sched_upload *u = container_of(t, struct sched_upload, control);
	struct s3_request *r = xalloc_check(s3_request_new(S3_OP_UPLOAD_COMPLETE, u->bucket, u->key));

	r->upload_id = xstrdup(u->upload_id);
	r->parts = u->complete_parts;
	r->part_count = u->complete_count;
	u->complete_parts = NULL;
	return r;
}

static struct s3_request *check_build(struct sched_task *t)
{
	struct sched_upload *u = container_of(t, struct sched_upload, control);

	return xalloc_check(s3_request_new(S3_OP_HEAD, u->bucket, u->key));
}

/* The ETag of a multipart upload ends with "-" and the number of its parts. */
static bool etag_has_parts(const char *etag, size_t count)
{
	const char *dash = strrchr(etag, '-');
	char *end;

	return dash && strtoul(dash + 1, &end, 10) == count && end != dash + 1;
}

static void completed(struct sched_upload *u, const struct s3_result *r)
{
	if (r->error == S3_OK)
		u->state = UPLOAD_COMPLETED;
	else
		fail(u, r->error, r->message);
	if (u->ending)
		end_if_quiet(u);
	else
		u->completed(u, r);
}

static void check_done(struct sched *s, struct sched_task *t, const struct s3_result *r)
{
	struct sched_upload *u = container_of(t, struct sched_upload, control);
	struct s3_result lost = {.error = S3_ERR_NO_UPLOAD, .retry_after_ms = -1};

	if (r->error == S3_OK && r->size_bytes == u->complete_bytes && etag_has_parts(r->etag, u->complete_count)) {
		completed(u, r);
		return;
	}
	snprintf(lost.message, sizeof(lost.message), "the upload of %s/%s vanished from the server before it was completed",
		 s3_bucket_label(u->bucket), u->key);
	completed(u, &lost);
}

static void complete_done(struct sched *s, struct sched_task *t, const struct s3_result *r)
{
	struct sched_upload *u = container_of(t, struct sched_upload, control);

	/* An earlier attempt may have done it, with only its answer lost. */
	if (r->error == S3_ERR_NO_UPLOAD && t->attempts > 1) {
		u->state = UPLOAD_CHECKING;
		control_start(u, check_build, check_done);
		return;
	}
	completed(u, r);
}

void upload_complete(struct sched_upload *u, struct s3_part *parts, size_t count, uint64_t size_bytes,
		     void (*done)(struct sched_upload *u, const struct s3_result *r))
{
	sched_assert_thread(u->sched);
	assert(u->state == UPLOAD_OPEN && upload_is_idle(u) && !u->ending);
	u->state = UPLOAD_COMPLETING;
	u->complete_parts = parts;
	u->complete_count = count;
	u->complete_bytes = size_bytes;
	u->completed = done;
	control_start(u, complete_build, complete_done);
}

/* ------------------------------------------------------------------------------------------------------- end */

static bool is_quiet(const struct sched_upload *u)
{
	return upload_is_idle(u) && !task_is_active(&u->control);
}

/* Only when nothing is in flight: a part that arrives after the abort would stay, and be paid for. */
static void abort_on_server(struct sched_upload *u)
{
	struct s3_request *r;

	if (!u->upload_id || u->state == UPLOAD_COMPLETED)
		return;
	r = xalloc_check(s3_request_new(S3_OP_UPLOAD_ABORT, u->bucket, u->key));
	r->upload_id = u->upload_id;
	u->upload_id = NULL;
	task_background(u->sched, r);
}

static void end_if_quiet(struct sched_upload *u)
{
	void (*ended)(void *arg) = u->ended;
	void *arg = u->ended_arg;

	if (!is_quiet(u))
		return;
	abort_on_server(u);
	upload_free(u);
	if (ended)
		ended(arg);
}

void upload_stop(struct sched_upload *u, const char *why)
{
	struct upload_part *p;

	DL_FOREACH(u->active, p)
		task_cancel(u->sched, &p->task);
	if (u->state == UPLOAD_CREATING)
		task_cancel(u->sched, &u->control);
	if (u->state < UPLOAD_COMPLETING)
		fail(u, S3_ERR_CANCELLED, why);
}

void upload_end(struct sched_upload *u, void (*ended)(void *arg), void *arg)
{
	sched_assert_thread(u->sched);
	assert(!u->ending);
	u->ending = true;
	u->ended = ended;
	u->ended_arg = arg;
	upload_stop(u, "the upload was cancelled");
	end_if_quiet(u);
}

/* The handles stay their callers', but nothing can be sent any more. */
void uploads_stop_all(struct sched *s)
{
	struct sched_upload *u;

	DL_FOREACH(s->uploads, u) {
		if (u->ending || u->owner)
			continue;
		u->idle = abort_on_server;
		upload_stop(u, "the scheduler is stopping");
		if (is_quiet(u))
			abort_on_server(u);
	}
}

void uploads_cancel_control(struct sched *s)
{
	struct sched_upload *u;

	DL_FOREACH(s->uploads, u)
		if (task_is_active(&u->control))
			task_cancel(s, &u->control);
}
