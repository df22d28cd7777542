/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the scheduler itself costs: processor time per small commit and per delete, on a backend that answers at once,
 * and with many jobs queued. Prints one line for each case. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sched/sched.h"
#include "tests/unit/fake_s3.h"

/* A backend that has finished everything at the next poll. */
struct instant {
	struct s3_backend backend; /* first */
	struct s3_request *first, *last;
	int64_t now_ms;
};

static void instant_submit(struct s3_backend *be, struct s3_request *r)
{
	struct instant *in = (struct instant *)be;

	r->next = NULL;
	if (in->last)
		in->last->next = r;
	else
		in->first = r;
	in->last = r;
}

static void instant_cancel(struct s3_backend *be, struct s3_request *r)
{
}

static size_t instant_poll(struct s3_backend *be, struct s3_request **done, size_t max, int64_t timeout_ms)
{
	struct instant *in = (struct instant *)be;
	size_t n = 0;

	while (n < max && in->first) {
		done[n] = in->first;
		in->first = in->first->next;
		done[n++]->next = NULL;
	}
	if (!in->first)
		in->last = NULL;
	in->now_ms++;
	return n;
}

static void instant_wake(struct s3_backend *be)
{
}

static int64_t instant_now_ms(struct s3_backend *be)
{
	return ((struct instant *)be)->now_ms;
}

static const struct s3_backend_ops instant_ops = {
	.submit = instant_submit,
	.cancel = instant_cancel,
	.poll = instant_poll,
	.wake = instant_wake,
	.now_ms = instant_now_ms,
};

static unsigned done_count;

static void count_done(void *arg, const struct sched_result *r)
{
	done_count++;
}

static double cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void commit_one(struct sched *s, const struct s3_bucket *from, const struct s3_bucket *to,
		       const struct s3_headers *headers, unsigned number)
{
	char key[64];
	struct sched_commit c = {
		.bucket = to, .key = key, .headers = headers, .extent_count = 1, .done = count_done,
	};

	snprintf(key, sizeof(key), "some/directory/of/files/%u", number);
	c.extents = calloc(1, sizeof(*c.extents));
	if (!c.extents)
		abort();
	c.extents->kind = SCHED_EXTENT_COPY;
	c.extents->length_bytes = 4096;
	c.extents->source = sched_source_new(from, key, "\"0123456789abcdef0123456789abcdef\"", 4096);
	sched_commit(s, &c);
}

/* TOTAL changes, BATCH of them queued at a time. */
static void measure(const char *name, unsigned total, unsigned batch, bool deletes)
{
	struct instant in = {.backend = {&instant_ops}};
	struct sched_config config = {.memory_limit_bytes = (uint64_t)256 << 20, .seed = 1};
	struct sched *s = sched_new(&config, &in.backend);
	struct s3_bucket from, to;
	struct s3_headers headers = {0};
	unsigned i, j;
	double start;

	if (!s)
		abort();
	fake_bucket_init(&from, "from", 1);
	fake_bucket_init(&to, "to", 2);
	s3_headers_set(&headers, "content-type", "application/octet-stream");
	s3_headers_set(&headers, "x-amz-meta-mtime", "1700000000.123456789");
	s3_headers_set(&headers, "x-amz-meta-mode", "0100644");
	done_count = 0;
	start = cpu_us();
	for (i = 0; i < total; i += batch) {
		for (j = 0; j < batch; j++) {
			if (deletes)
				sched_delete(s, &to, "some/directory/of/files/one", count_done, NULL);
			else
				commit_one(s, &from, &to, &headers, i + j);
		}
		while (sched_step(s, 0))
			;
	}
	printf("%-44s %8u changes, %6.2f us of processor time each\n", name, done_count, (cpu_us() - start) / total);
	sched_free(s);
	s3_headers_clear(&headers);
}

int main(void)
{
	measure("small copies, 16 at a time", 100000, 16, false);
	measure("small copies, 1,000 at a time", 100000, 1000, false);
	measure("small copies, 100,000 queued", 100000, 100000, false);
	measure("deletes of one key, 100,000 queued", 100000, 100000, true);
	return 0;
}
