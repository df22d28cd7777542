/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sched_request: one request for somebody who reads. */
#include <assert.h>
#include <stdlib.h>

#include <utlist.h>

#include "sched/task.h"
#include "sched/xalloc.h"

struct client_request {
	struct message message;
	struct handle handle;
	struct sched_task task;
	struct s3_request *request;
	sched_request_fn done;
	void *arg;
	void *user; /* what the request's user field was */

	/* A GET is retried behind what has been delivered; the caller gets back what it asked for. */
	uint64_t asked_offset_bytes, asked_length_bytes;
	uint64_t delivered_bytes; /* by the attempts before this one */
	bool pinned; /* if_match was set here, so that the rest comes from the same version */

	struct client_request *prev, *next;
};

/* Is nothing missing although the attempt ended with an error? */
static bool is_complete(const struct client_request *c)
{
	const struct s3_request *r = c->request;
	uint64_t got = c->delivered_bytes + r->delivered_bytes;

	if (r->op != S3_OP_GET || got == 0)
		return false;
	if (c->asked_length_bytes > 0)
		return got == c->asked_length_bytes;
	return r->result.size_bytes > 0 && c->asked_offset_bytes + got == r->result.size_bytes;
}

static bool client_again(struct sched_task *t)
{
	struct client_request *c = container_of(t, struct client_request, task);
	struct s3_request *r = c->request;

	if (r->op != S3_OP_GET || r->delivered_bytes == 0)
		return true;
	/* Bytes that turned out to be wrong have been handed out, and cannot be taken back. */
	if (r->result.error == S3_ERR_CORRUPT || is_complete(c))
		return false;
	if (!r->if_match) {
		if (!r->result.etag[0])
			return false;
		r->if_match = xstrdup(r->result.etag);
		c->pinned = true;
	}
	c->delivered_bytes += r->delivered_bytes;
	r->offset_bytes = c->asked_offset_bytes + c->delivered_bytes;
	if (c->asked_length_bytes > 0)
		r->length_bytes = c->asked_length_bytes - c->delivered_bytes;
	return true;
}

static bool client_is_awaited(const struct sched_task *t)
{
	return t->class == SCHED_INTERACTIVE;
}

static void client_done(struct sched *s, struct sched_task *t, const struct s3_result *result)
{
	struct client_request *c = container_of(t, struct client_request, task);
	struct s3_request *r = c->request;

	if (r->op == S3_OP_GET) {
		if (r->result.error != S3_OK && r->result.error != S3_ERR_CORRUPT && is_complete(c))
			r->result.error = S3_OK;
		r->delivered_bytes += c->delivered_bytes;
		r->offset_bytes = c->asked_offset_bytes;
		r->length_bytes = c->asked_length_bytes;
		s->stats.downloaded_bytes += r->delivered_bytes;
		if (c->pinned) {
			free(r->if_match);
			r->if_match = NULL;
		}
	}
	handle_remove(s, &c->handle);
	DL_DELETE(s->clients, c);
	r->user = c->user;
	c->done(c->arg, r);
	free(c);
}

static void client_cancel(struct sched *s, struct handle *h)
{
	task_cancel(s, &container_of(h, struct client_request, handle)->task);
}

static void client_run(struct sched *s, struct message *m)
{
	struct client_request *c = container_of(m, struct client_request, message);

	c->task.since_ms = s->now_ms;
	c->task.read_from = c->request->bucket;
	c->task.request = c->request;
	handle_add(s, &c->handle);
	DL_APPEND(s->clients, c);
	task_start(s, &c->task);
	if (s->stopping)
		task_cancel(s, &c->task);
}

uint64_t sched_request(struct sched *s, struct s3_request *req, enum sched_class class, sched_request_fn done, void *arg)
{
	struct client_request *c = xcalloc(1, sizeof(*c));
	uint64_t id = sched_new_id(s);

	assert((unsigned)class < SCHED_CLASS__COUNT);
	assert(!req->next);
	c->message.run = client_run;
	c->handle.id = id;
	c->handle.cancel = client_cancel;
	c->task.class = class;
	c->task.done = client_done;
	c->task.again = client_again;
	c->task.is_awaited = client_is_awaited;
	c->task.keep_request = true;
	c->request = req;
	c->done = done;
	c->arg = arg;
	c->user = req->user;
	c->asked_offset_bytes = req->offset_bytes;
	c->asked_length_bytes = req->length_bytes;
	sched_post(s, &c->message);
	return id;
}

void clients_cancel_all(struct sched *s)
{
	struct client_request *c;

	DL_FOREACH(s->clients, c)
		task_cancel(s, &c->task);
}
