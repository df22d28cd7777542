/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The check of every bucket before the mount. */
#include "fs/bucket_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3/base/cleanup.h"

#define ATTEMPTS_MAX 3
#define RETRY_MS     300
#define DONE_AT_ONCE 16

struct probe {
	struct s3_request *req; /* NULL: ended */
	unsigned attempts;
	int64_t start_at_ms; /* when to submit (again) */
	bool in_flight;
};

struct check {
	struct s3_backend *be;
	struct probe *probes;
	size_t count;
	size_t left; /* probes not ended */
	unsigned failed;
	int64_t deadline_at_ms;
	bool expired;
	bucket_check_fn fail;
	void *arg;
};

static bool may_pass(enum s3_error e)
{
	return e == S3_ERR_THROTTLED || e == S3_ERR_SERVER || e == S3_ERR_NETWORK || e == S3_ERR_TIMEOUT;
}

static void report(struct check *c, const struct s3_request *r)
{
	char sentence[512];

	c->failed++;
	if (c->expired && r->result.error == S3_ERR_CANCELLED)
		snprintf(sentence, sizeof(sentence),
			 "bucket \"%s\" (%s at %s): no answer in time: check the endpoint and the network",
			 s3_bucket_label(r->bucket), s3_bucket_name(r->bucket), s3_bucket_endpoint(r->bucket));
	else
		snprintf(sentence, sizeof(sentence), "%s", r->result.message);
	c->fail(c->arg, sentence);
}

static void end(struct check *c, struct probe *p)
{
	s3_request_free(p->req);
	p->req = NULL;
	c->left--;
}

static void answered(struct check *c, struct s3_request *r, int64_t now_ms)
{
	struct probe *p = r->user;

	p->in_flight = false;
	if (may_pass(r->result.error) && ++p->attempts < ATTEMPTS_MAX && !c->expired) {
		p->start_at_ms = now_ms + (RETRY_MS << p->attempts);
		return;
	}
	if (r->result.error != S3_OK)
		report(c, r);
	end(c, p);
}

/* Submits what is due; past the deadline asks everything to end. Returns how long the next poll may wait. */
static int64_t turn(struct check *c, int64_t now_ms)
{
	int64_t wait_ms = c->expired ? -1 : c->deadline_at_ms - now_ms;
	bool expire = !c->expired && wait_ms <= 0;

	c->expired |= expire;
	for (size_t i = 0; i < c->count; i++) {
		struct probe *p = &c->probes[i];

		if (!p->req)
			continue;
		if (p->in_flight) {
			if (expire)
				c->be->ops->cancel(c->be, p->req);
		} else if (c->expired) {
			report(c, p->req); /* it waited to be tried again: its last error stands */
			end(c, p);
		} else if (p->start_at_ms <= now_ms) {
			s3_request_rearm(p->req);
			p->in_flight = true;
			c->be->ops->submit(c->be, p->req);
		} else if (p->start_at_ms - now_ms < wait_ms) {
			wait_ms = p->start_at_ms - now_ms;
		}
	}
	return c->expired ? -1 : wait_ms;
}

static struct s3_request *list_one(const struct s3_bucket *bucket, const char *prefix)
{
	struct s3_request *r = s3_request_new(S3_OP_LIST, bucket, NULL);

	if (!r)
		return NULL;
	r->max_keys = 1;
	r->prefix = strdup(prefix);
	if (r->prefix)
		return r;
	s3_request_free(r);
	return NULL;
}

unsigned bucket_check(struct s3_backend *be, struct s3_bucket *const *buckets, const char *const *prefixes,
		      size_t count, int64_t deadline_ms, bucket_check_fn fail, void *arg)
{
	CLEANUP_FREE struct probe *probes = calloc(count, sizeof(*probes));
	struct check c = {.be = be, .probes = probes, .count = count, .fail = fail, .arg = arg};
	struct s3_request *done[DONE_AT_ONCE];
	int64_t wait_ms;

	if (!probes) {
		fail(arg, "out of memory");
		return (unsigned)count;
	}
	c.deadline_at_ms = be->ops->now_ms(be) + deadline_ms;
	for (size_t i = 0; i < count; i++) {
		probes[i].req = list_one(buckets[i], prefixes[i]);
		if (!probes[i].req) {
			fail(arg, "out of memory");
			c.failed++;
			continue;
		}
		probes[i].req->user = &probes[i];
		c.left++;
	}
	while (c.left) {
		wait_ms = turn(&c, be->ops->now_ms(be));
		if (!c.left)
			break;
		for (size_t i = 0, n = be->ops->poll(be, done, DONE_AT_ONCE, wait_ms); i < n; i++)
			answered(&c, done[i], be->ops->now_ms(be));
	}
	return c.failed;
}
