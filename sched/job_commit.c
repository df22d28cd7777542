/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The states of a commit: plan, then one PUT, one CopyObject or an upload in parts. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3/base/log.h"
#include "sched/extent.h"
#include "sched/job.h"
#include "sched/xalloc.h"

static void upload_idle(struct sched_upload *u);

/* ------------------------------------------------------------------------------------------------- failures */

/* Errors with which a server says that it will not copy this by itself, while relaying may work: not implemented, one
 * key pair may not read the other bucket with one request, a source of a kind that cannot be copied. */
static bool means_no_server_copy(enum s3_error e)
{
	return e == S3_ERR_UNSUPPORTED || e == S3_ERR_ACCESS || e == S3_ERR_INVALID || e == S3_ERR_TOO_LARGE;
}

/* EXTENT: the first that the failed request was made of. SERVER_COPY: the server read the source itself. */
static void fail_request(struct job *j, const struct s3_result *r, size_t extent, bool server_copy)
{
	const struct sched_source *src = NULL;
	const char *what;

	for (; !src && extent < j->extent_count; extent++)
		src = j->extents[extent].source;
	if (src && (r->source_failed || server_copy) &&
	    (r->error == S3_ERR_PRECONDITION || r->error == S3_ERR_NOT_FOUND)) {
		what = r->error == S3_ERR_PRECONDITION ? "changed" : "disappeared";
		job_fail(j, r->error, "%s/%s %s while it was being copied to %s/%s: nothing was written, copy it again",
			 s3_bucket_label(src->bucket), src->key, what, s3_bucket_label(j->bucket), j->key);
	} else if (j->first_key) {
		job_fail(j, r->error, "%s; the data is complete in %s/%s", r->message, s3_bucket_label(j->first_bucket),
			 j->first_key);
	} else {
		job_fail(j, r->error, "%s", r->message);
	}
}

static void count_retries(struct job *j, const struct sched_task *t)
{
	if (t->attempts > 1)
		j->retries += t->attempts - 1;
}

/* ------------------------------------------------------------------------------------------------------ plan */

void commit_adopt_upload(struct job *j)
{
	j->upload->owner = j;
	j->upload->idle = upload_idle;
}

static bool has_uploaded_parts(const struct job *j)
{
	size_t i;

	for (i = 0; i < j->extent_count; i++)
		if (j->extents[i].kind == SCHED_EXTENT_PART)
			return true;
	return false;
}

static void enter_planned(struct job *j)
{
	switch (j->plan.method) {
	case PLAN_PUT:
		job_enter(j, JOB_PUTTING);
		break;
	case PLAN_COPY:
		job_enter(j, JOB_COPYING);
		break;
	case PLAN_MULTIPART:
		job_enter(j, JOB_UPLOADING);
		break;
	}
}

static void upload_dropped(void *arg)
{
	job_enter(arg, JOB_PLANNING);
}

/* Gives the upload up and plans anew when nothing of it is in flight any more. */
static void drop_upload(struct job *j)
{
	struct sched_upload *u = j->upload;

	j->upload = NULL;
	upload_end(u, upload_dropped, j);
}

void commit_plan(struct job *j)
{
	struct plan_options options = {
		.bucket = j->bucket,
		.server_copy = !j->no_server_copy,
		.part_size_bytes = j->sched->part_size_bytes,
		.single_stream = j->sched->config.no_streaming_optimizer,
		.link = upload_link(j->sched, j->bucket),
	};
	char err[200] = "";
	enum s3_error e;

	if (j->cancelled) {
		job_fail(j, S3_ERR_CANCELLED, "the change of %s/%s was cancelled", s3_bucket_label(j->bucket), j->key);
		job_finish(j);
		return;
	}
	if (j->upload && !has_uploaded_parts(j)) {
		drop_upload(j); /* and comes back here */
		return;
	}
	plan_clear(&j->plan);
	j->next_part = 0;
	j->done_bytes = 0;
	extents_coalesce(j->extents, &j->extent_count);
	if (!extents_check(j->extents, j->extent_count, !!j->upload, err, sizeof(err)))
		e = S3_ERR_INVALID;
	else
		e = plan_build(&j->plan, &options, j->extents, j->extent_count, err, sizeof(err));
	if (e != S3_OK) {
		job_fail(j, e, "%s/%s cannot be written: %s", s3_bucket_label(j->bucket), j->key, err);
		job_finish(j);
		return;
	}
	j->class = queue_class_of(&j->sched->queue, j->plan.size_bytes);
	enter_planned(j);
}

/* ----------------------------------------------------------------------------------------------- one request */

static void succeed(struct job *j, const struct s3_result *r)
{
	snprintf(j->etag, sizeof(j->etag), "%s", r->etag);
	j->last_modified = r->last_modified;
	if (j->first_key && (j->first_bucket != j->bucket || strcmp(j->first_key, j->key) != 0))
		job_enter(j, JOB_CLEANING);
	else
		job_finish(j);
}

static void give_headers(struct s3_request *r, const struct s3_headers *headers)
{
	if (s3_headers_copy(&r->headers, headers) < 0)
		xalloc_check(NULL);
}

static void give_source(struct s3_request *r, const struct sched_source *src)
{
	r->src_bucket = src->bucket;
	r->src_key = xstrdup(src->key);
	if (src->etag[0])
		r->src_etag = xstrdup(src->etag);
}

static struct s3_request *put_build(struct sched_task *t)
{
	struct job *j = container_of(t, struct job, task);
	struct s3_request *r = xalloc_check(s3_request_new(S3_OP_PUT, j->bucket, j->key));

	give_headers(r, &j->headers);
	r->segments = extents_segments(j->extents, 0, j->plan.size_bytes, &r->segment_count);
	return r;
}

static void put_done(struct sched *s, struct sched_task *t, const struct s3_result *r)
{
	struct job *j = container_of(t, struct job, task);

	count_retries(j, t);
	if (r->error != S3_OK) {
		fail_request(j, r, 0, false);
		job_finish(j);
		return;
	}
	s->stats.copied_bytes += j->plan.relay_bytes;
	s->stats.uploaded_bytes += j->plan.size_bytes - j->plan.relay_bytes;
	j->done_bytes = j->plan.size_bytes;
	succeed(j, r);
}

void commit_put(struct job *j)
{
	job_start_task(j, j->class, j->plan.relay_bytes, put_build, put_done);
}

static struct s3_request *copy_build(struct sched_task *t)
{
	struct job *j = container_of(t, struct job, task);
	struct s3_request *r = xalloc_check(s3_request_new(S3_OP_COPY, j->bucket, j->key));

	give_headers(r, &j->headers);
	r->replace_headers = true;
	give_source(r, j->extents[0].source);
	return r;
}

static void copy_done(struct sched *s, struct sched_task *t, const struct s3_result *r)
{
	struct job *j = container_of(t, struct job, task);

	count_retries(j, t);
	if (means_no_server_copy(r->error)) {
		log_debug("%s; relaying it instead", r->message);
		j->no_server_copy = true;
		job_enter(j, JOB_PLANNING);
		return;
	}
	if (r->error != S3_OK) {
		fail_request(j, r, 0, true);
		job_finish(j);
		return;
	}
	s->stats.server_copied_bytes += j->plan.size_bytes;
	j->done_bytes = j->plan.size_bytes;
	succeed(j, r);
}

void commit_copy(struct job *j)
{
	job_start_task(j, SCHED_HIGH, 0, copy_build, copy_done);
}

static struct s3_request *clean_build(struct sched_task *t)
{
	struct job *j = container_of(t, struct job, task);

	return xalloc_check(s3_request_new(S3_OP_DELETE, j->first_bucket, j->first_key));
}

static void clean_done(struct sched *s, struct sched_task *t, const struct s3_result *r)
{
	struct job *j = container_of(t, struct job, task);

	count_retries(j, t);
	if (r->error != S3_OK && r->error != S3_ERR_NOT_FOUND)
		log_warn("%s/%s is a leftover of writing %s/%s and could not be deleted: %s",
			 s3_bucket_label(j->first_bucket), j->first_key, s3_bucket_label(j->bucket), j->key, r->message);
	job_finish(j);
}

void commit_clean(struct job *j)
{
	job_start_task(j, SCHED_HIGH, 0, clean_build, clean_done);
}

/* ----------------------------------------------------------------------------------------------------- parts */

struct commit_part {
	struct upload_part part;
	struct job *job;
	size_t index; /* in the plan */
	bool server_copy;
};

static struct s3_request *part_build(struct upload_part *p)
{
	struct commit_part *cp = container_of(p, struct commit_part, part);
	const struct job *j = cp->job;
	const struct plan_part *pp = &j->plan.parts[cp->index];
	const struct sched_extent *e = &j->extents[pp->extent];
	enum s3_op op = cp->server_copy ? S3_OP_UPLOAD_PART_COPY : S3_OP_UPLOAD_PART;
	struct s3_request *r = xalloc_check(s3_request_new(op, p->upload->bucket, p->upload->key));

	if (cp->server_copy) {
		give_source(r, e->source);
		r->src_offset_bytes = e->offset_bytes + pp->skip_bytes;
		r->length_bytes = pp->length_bytes;
	} else {
		r->segments = extents_segments(e, pp->skip_bytes, pp->length_bytes, &r->segment_count);
	}
	return r;
}

static void part_ended(struct upload_part *p, const struct s3_result *r);

/* At most chunk_workers parts are made at a time: a plan may have ten thousand. */
static void send_parts(struct job *j)
{
	while (j->next_part < j->plan.part_count && j->parts_out < upload_workers(j->upload) && j->error == S3_OK &&
	       !j->restart) {
		const struct plan_part *pp = &j->plan.parts[j->next_part];
		struct commit_part *cp = xcalloc(1, sizeof(*cp));

		cp->job = j;
		cp->index = j->next_part++;
		cp->server_copy = pp->server_copy && !j->no_server_copy;
		cp->part.number = j->plan.first_number + (uint32_t)cp->index;
		cp->part.length_bytes = pp->length_bytes;
		cp->part.read_from = extents_first_bucket(&j->extents[pp->extent], j->extent_count - pp->extent);
		cp->part.relay_bytes = cp->server_copy ? 0 : pp->server_copy ? pp->length_bytes : pp->relay_bytes;
		cp->part.build = part_build;
		cp->part.ended = part_ended;
		j->parts_out++;
		upload_add(j->upload, &cp->part);
	}
}

static void part_succeeded(struct job *j, const struct commit_part *cp)
{
	struct sched_stats *st = &j->sched->stats;

	j->done_bytes += cp->part.length_bytes;
	if (cp->server_copy) {
		st->server_copied_bytes += cp->part.length_bytes;
	} else {
		st->copied_bytes += cp->part.relay_bytes;
		st->uploaded_bytes += cp->part.length_bytes - cp->part.relay_bytes;
	}
}

/* The upload is gone, for instance to a lifecycle rule. Everything can be sent again, unless some of it only was there. */
static bool may_restart(const struct job *j, enum s3_error e)
{
	return e == S3_ERR_NO_UPLOAD && j->plan.uploaded == 0 && !j->restarted;
}

static void part_ended(struct upload_part *p, const struct s3_result *r)
{
	struct commit_part *cp = container_of(p, struct commit_part, part);
	struct job *j = cp->job;

	count_retries(j, &p->task);
	j->parts_out--;
	if (j->error != S3_OK || j->restart) {
		free(cp); /* the upload is being given up */
		return;
	}
	if (cp->server_copy && means_no_server_copy(r->error) && p->upload->state == UPLOAD_OPEN) {
		j->no_server_copy = true;
		cp->server_copy = false;
		p->relay_bytes = p->length_bytes;
		j->parts_out++;
		upload_add(p->upload, p);
		return;
	}
	if (r->error == S3_OK) {
		part_succeeded(j, cp);
		send_parts(j);
	} else if (may_restart(j, r->error)) {
		j->restart = true;
		upload_stop(j->upload, "the upload is sent again");
	} else {
		fail_request(j, r, j->plan.parts[cp->index].extent, cp->server_copy);
		upload_stop(j->upload, "another part of the object had failed");
	}
	free(cp);
}

static void restart_upload(struct job *j)
{
	log_info("the upload of %s/%s vanished from the server: sending it again", s3_bucket_label(j->bucket), j->key);
	j->restart = false;
	j->restarted = true;
	drop_upload(j);
}

/* Everything that was handed to the upload has ended. */
static void upload_idle(struct sched_upload *u)
{
	struct job *j = u->owner;

	if (j->state != JOB_UPLOADING) /* parts of a streaming writer, while the commit waits */
		return;
	if (j->restart)
		restart_upload(j);
	else if (j->error != S3_OK)
		job_finish(j);
	else if (j->next_part == j->plan.part_count)
		job_enter(j, JOB_COMPLETING);
}

void commit_upload(struct job *j)
{
	struct sched_upload *u = j->upload;

	if (!u) {
		u = j->upload = upload_new(j->sched, j->bucket, j->key, &j->headers);
		u->since_ms = j->since_ms;
		u->is_of_commit = true;
		commit_adopt_upload(j);
	}
	u->class = j->class;
	u->size_bytes = j->plan.size_bytes;
	j->done_bytes = j->plan.uploaded_bytes;
	if (u->state == UPLOAD_FAILED) {
		job_fail(j, u->error, "%s", u->message);
		job_finish(j);
		return;
	}
	send_parts(j);
	if (upload_is_idle(u))
		upload_idle(u);
}

/* -------------------------------------------------------------------------------------------------- complete */

/* Was the upload made under another key, or with other headers, than the object is to have now? */
static bool needs_fix(const struct job *j)
{
	const struct sched_upload *u = j->upload;
	size_t i;

	if (u->bucket != j->bucket || strcmp(u->key, j->key) != 0 || u->headers.count != j->headers.count)
		return true;
	for (i = 0; i < j->headers.count; i++) {
		const char *value = s3_headers_get(&u->headers, j->headers.items[i].name);

		if (!value || strcmp(value, j->headers.items[i].value) != 0)
			return true;
	}
	return false;
}

/* The object that was just completed becomes the source of another commit of the same job. */
static void fix(struct job *j, const struct s3_result *r)
{
	struct sched_upload *u = j->upload;
	struct sched_extent *e = xcalloc(1, sizeof(*e));

	e->kind = SCHED_EXTENT_COPY;
	e->length_bytes = j->plan.size_bytes;
	e->source = sched_source_new(u->bucket, u->key, r->etag, j->plan.size_bytes);
	sched_extents_free(j->extents, j->extent_count);
	j->extents = e;
	j->extent_count = 1;
	j->first_bucket = u->bucket;
	j->first_key = xstrdup(u->key);
	drop_upload(j);
}

static void complete_done(struct sched_upload *u, const struct s3_result *r)
{
	struct job *j = u->owner;

	if (r->error == S3_OK && needs_fix(j)) {
		fix(j, r);
	} else if (r->error == S3_OK) {
		succeed(j, r);
	} else if (may_restart(j, r->error)) {
		restart_upload(j);
	} else {
		fail_request(j, r, j->extent_count, false);
		job_finish(j);
	}
}

static bool collect_part(struct job *j, struct s3_part *to, uint32_t number, uint64_t length_bytes)
{
	const struct s3_part *part = upload_find(j->upload, number);

	if (!part || part->size_bytes != length_bytes) {
		job_fail(j, S3_ERR_INVALID, "part %u of %s/%s was not uploaded%s", number, s3_bucket_label(j->bucket), j->key,
			 part ? " with that length" : "");
		return false;
	}
	*to = *part;
	return true;
}

void commit_complete(struct job *j)
{
	size_t count = j->plan.uploaded + j->plan.part_count, i;
	struct s3_part *parts = xcalloc(count, sizeof(*parts));
	bool ok = true;

	for (i = 0; ok && i < count; i++) {
		if (i < j->plan.uploaded)
			ok = collect_part(j, &parts[i], j->extents[i].part_number, j->extents[i].length_bytes);
		else
			ok = collect_part(j, &parts[i], j->plan.first_number + (uint32_t)(i - j->plan.uploaded),
					  j->plan.parts[i - j->plan.uploaded].length_bytes);
	}
	if (!ok) {
		free(parts);
		job_finish(j);
		return;
	}
	upload_complete(j->upload, parts, count, j->plan.size_bytes, complete_done);
}
