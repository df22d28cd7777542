/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Uploads that fill while a program writes: sched_upload_*. */
#include "sched/upload.h"

#include <stdio.h>
#include <stdlib.h>

#include "sched/extent.h"
#include "sched/xalloc.h"

struct stream_part {
	struct message message;
	struct upload_part part;
	struct sched_upload *upload;
	struct sched_extent *extents;
	size_t count;
	sched_done_fn done;
	void *arg;
};

struct sched_upload *sched_upload_open(struct sched *s, const struct s3_bucket *bucket, const char *key,
				       const struct s3_headers *headers)
{
	return upload_new(s, bucket, key, headers);
}

static struct s3_request *stream_build(struct upload_part *p)
{
	struct stream_part *sp = container_of(p, struct stream_part, part);
	struct sched_upload *u = sp->upload;
	struct s3_request *r = xalloc_check(s3_request_new(S3_OP_UPLOAD_PART, u->bucket, u->key));

	r->segments = extents_segments(sp->extents, 0, p->length_bytes, &r->segment_count);
	return r;
}

static void stream_ended(struct upload_part *p, const struct s3_result *r)
{
	struct stream_part *sp = container_of(p, struct stream_part, part);
	struct sched_result result = {.error = r->error, .last_modified = r->last_modified};

	if (r->error == S3_OK)
		sp->upload->sched->stats.uploaded_bytes += p->length_bytes;
	snprintf(result.message, sizeof(result.message), "%s", r->message);
	snprintf(result.etag, sizeof(result.etag), "%s", r->etag);
	result.size_bytes = p->length_bytes;
	sched_extents_free(sp->extents, sp->count);
	sp->done(sp->arg, &result);
	free(sp);
}

static void stream_run(struct sched *s, struct message *m)
{
	struct stream_part *sp = container_of(m, struct stream_part, message);
	struct sched_upload *u = sp->upload;

	if (!u->listed)
		u->since_ms = s->now_ms;
	/* How large it becomes nobody knows yet: it moves down as it grows. */
	u->class = queue_class_of(&s->queue, u->sent_bytes + sp->part.length_bytes);
	if (u->class < SCHED_MEDIUM)
		u->class = SCHED_MEDIUM;
	if (s->stopping)
		upload_stop(u, "the scheduler is stopping");
	upload_add(u, &sp->part);
}

void sched_upload_part(struct sched *s, struct sched_upload *u, uint32_t number, struct sched_extent *extents, size_t count,
		       sched_done_fn done, void *arg)
{
	struct stream_part *sp = xcalloc(1, sizeof(*sp));

	sp->message.run = stream_run;
	sp->upload = u;
	sp->extents = extents;
	sp->count = count;
	sp->done = done;
	sp->arg = arg;
	sp->part.number = number;
	sp->part.length_bytes = extents_length(extents, count);
	sp->part.build = stream_build;
	sp->part.ended = stream_ended;
	sched_post(s, &sp->message);
}

static void abort_run(struct sched *s, struct message *m)
{
	upload_end(container_of(m, struct sched_upload, abort_message), NULL, NULL);
}

void sched_upload_abort(struct sched *s, struct sched_upload *u)
{
	u->abort_message.run = abort_run;
	sched_post(s, &u->abort_message);
}
