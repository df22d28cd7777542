/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The files of the control directory. */
#include "fs/control.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "fs/fs.h"
#include "fs/jobs.h"
#include "fs/metrics.h"
#include "fs/report_data.h"
#include "fs/status.h"
#include "fs/status_engine.h"
#include "s3/base/clock.h"
#include "s3/base/strbuf.h"

/* A path of PATH_MAX bytes and the word before it. */
#define COMMAND_MAX_BYTES 4200

enum control_index {
	CONTROL_STATUS,
	CONTROL_REPORT,
	CONTROL_METRICS,
	CONTROL_JOBS,
	CONTROL_ADVICE,
	CONTROL_CONTROL,
	CONTROL__COUNT,
};

const char *const control_names[] = {
	[CONTROL_STATUS] = "status.json",
	[CONTROL_REPORT] = "report.json",
	[CONTROL_METRICS] = "metrics",
	[CONTROL_JOBS] = "jobs",
	[CONTROL_ADVICE] = "advice",
	[CONTROL_CONTROL] = "control",
	[CONTROL__COUNT] = NULL,
};

struct control_file {
	struct fs *fs;
	int index;
	struct control_file *prev, *next; /* open_files */

	pthread_mutex_t lock; /* for all below; never held while a reply or fs runs */
	unsigned refs;    /* the opener's, one of a wait that runs, and those of replies: a reader may close at once */
	bool commanded;   /* the one command was given */
	uint64_t wait_id; /* 0: none, or not known yet */
	char *path;       /* what the wait is for; owned */
	char *answer;     /* NULL: not there yet; owned, and constant once it is there */
	size_t answer_len;
	int answer_err; /* instead of the answer */
	struct timespec made; /* constant once it is open */

	control_reply_fn reader; /* NULL: nobody waits */
	void *reader_arg;
	uint64_t reader_offset;
	size_t reader_size;
};

static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static struct control_file *open_files;           /* under open_lock */
static struct control_size newest[CONTROL__COUNT]; /* under open_lock */

bool control_is_writable(int index)
{
	return index == CONTROL_CONTROL;
}

static void unref(struct control_file *f)
{
	bool last;

	pthread_mutex_lock(&f->lock);
	assert(f->refs > 0);
	last = --f->refs == 0;
	pthread_mutex_unlock(&f->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&f->lock);
	free(f->path);
	free(f->answer);
	free(f);
}

static struct control_file *file_new(struct fs *fs, int index)
{
	struct control_file *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->fs = fs;
	f->index = index;
	f->refs = 1;
	f->made = clock_realtime();
	pthread_mutex_init(&f->lock, NULL);
	return f;
}

static void file_opened(struct control_file *f)
{
	pthread_mutex_lock(&open_lock);
	DL_APPEND(open_files, f);
	newest[f->index] = (struct control_size){.bytes = f->answer_len, .made = f->made};
	pthread_mutex_unlock(&open_lock);
}

void control_size(const struct control_file *f, int index, struct control_size *out)
{
	assert(index >= 0 && index < CONTROL__COUNT);
	if (f && !control_is_writable(index)) {
		*out = (struct control_size){.bytes = f->answer_len, .made = f->made};
		return;
	}
	pthread_mutex_lock(&open_lock);
	*out = newest[index];
	pthread_mutex_unlock(&open_lock);
}

/* ------------------------------------------------------------------------------------------------- snapshots */

/* What an open waits for. */
struct snapshot {
	struct control_file *file;
	control_opened_fn opened;
	void *arg;
	struct strbuf lines;         /* of jobs */
	struct jobs_summary summary; /* for the status */
};

static char *metrics_text(struct fs *fs, size_t *len)
{
	CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
	struct metrics *m = malloc(sizeof(*m));

	if (!m)
		return NULL;
	metrics_take(fs, m);
	metrics_write(m, &text);
	free(m);
	*len = text.len;
	return strbuf_detach(&text);
}

static char *snapshot_text(struct snapshot *snap, size_t *len)
{
	struct fs *fs = snap->file->fs;

	switch (snap->file->index) {
	case CONTROL_STATUS:
		return status_json(fs, jobs_summary_json(&snap->summary), len);
	case CONTROL_REPORT:
		return report_data_json(fs, len);
	case CONTROL_METRICS:
		return metrics_text(fs, len);
	case CONTROL_JOBS:
		*len = snap->lines.len;
		return strbuf_detach(&snap->lines);
	default:
		return status_engine_advice(fs_sched(fs), len);
	}
}

static void snapshot_finish(struct snapshot *snap)
{
	struct control_file *f = snap->file;

	f->answer = snapshot_text(snap, &f->answer_len);
	if (f->answer) {
		file_opened(f);
	} else {
		unref(f);
		f = NULL;
	}
	snap->opened(snap->arg, f);
	strbuf_free(&snap->lines);
	jobs_summary_clear(&snap->summary);
	free(snap);
}

/* On the scheduler thread. */
static void see_job(void *arg, const struct sched_job_info *info)
{
	struct snapshot *snap = arg;

	if (!info)
		snapshot_finish(snap);
	else if (snap->file->index == CONTROL_JOBS)
		jobs_add_line(&snap->lines, info);
	else
		jobs_summary_add(&snap->summary, info);
}

void control_open(struct fs *fs, int index, control_opened_fn opened, void *arg)
{
	struct control_file *f = file_new(fs, index);
	struct snapshot *snap;

	if (!f)
		goto failed;
	if (index == CONTROL_CONTROL) {
		file_opened(f);
		opened(arg, f);
		return;
	}
	snap = calloc(1, sizeof(*snap));
	if (!snap)
		goto failed;
	snap->file = f;
	snap->opened = opened;
	snap->arg = arg;
	if (index == CONTROL_STATUS || index == CONTROL_JOBS)
		sched_jobs(fs_sched(fs), see_job, snap);
	else
		snapshot_finish(snap);
	return;
failed:
	if (f)
		unref(f);
	opened(arg, NULL);
}

/* --------------------------------------------------------------------------------------------- read and write */

/* The answer is there and does not change any more, so no lock is needed. */
static void reply_slice(const struct control_file *f, uint64_t offset, size_t size, control_reply_fn reply, void *arg)
{
	size_t left = offset < f->answer_len ? f->answer_len - offset : 0;

	if (f->answer_err)
		reply(arg, f->answer_err, NULL, 0);
	else
		reply(arg, 0, left ? f->answer + offset : "", size < left ? size : left);
}

void control_read(struct control_file *f, uint64_t offset, size_t size, control_reply_fn reply, void *arg)
{
	bool answered, busy;

	pthread_mutex_lock(&f->lock);
	/* Before a command there is nothing to wait for: the file is empty. */
	answered = f->answer || f->answer_err || !f->commanded;
	busy = f->reader;
	if (answered) {
		f->refs++;
	} else if (!busy) {
		f->reader = reply;
		f->reader_arg = arg;
		f->reader_offset = offset;
		f->reader_size = size;
	}
	pthread_mutex_unlock(&f->lock);
	if (answered) {
		reply_slice(f, offset, size, reply, arg);
		unref(f);
	} else if (busy) {
		reply(arg, EBUSY, NULL, 0);
	}
}

void control_interrupt(struct control_file *f, void *arg)
{
	control_reply_fn reply = NULL;

	pthread_mutex_lock(&f->lock);
	if (f->reader && f->reader_arg == arg) {
		reply = f->reader;
		f->reader = NULL;
	}
	pthread_mutex_unlock(&f->lock);
	if (reply)
		reply(arg, EINTR, NULL, 0);
}

/* On any thread, perhaps during fs_wait(). */
static void wait_done(void *arg)
{
	struct control_file *f = arg;
	control_reply_fn reply;
	size_t len = 0;
	char *answer = status_changes_json(f->fs, f->path, &len);

	pthread_mutex_lock(&f->lock);
	f->answer = answer;
	f->answer_len = len;
	f->answer_err = answer ? 0 : ENOMEM;
	reply = f->reader;
	f->reader = NULL;
	pthread_mutex_unlock(&f->lock);
	if (reply)
		reply_slice(f, f->reader_offset, f->reader_size, reply, f->reader_arg);
	unref(f);
}

static int start_wait(struct control_file *f, const char *path, size_t len)
{
	char *copy;
	uint64_t id;

	if (len == 0 || path[0] != '/')
		return -EINVAL;
	copy = strndup(path, len);
	if (!copy)
		return -ENOMEM;
	pthread_mutex_lock(&f->lock);
	if (f->commanded) {
		pthread_mutex_unlock(&f->lock);
		free(copy);
		return -EBUSY;
	}
	f->commanded = true;
	f->path = copy;
	f->refs += 2; /* the wait's, and ours until its id is stored */
	pthread_mutex_unlock(&f->lock);

	id = fs_wait(f->fs, f->path, wait_done, f);
	pthread_mutex_lock(&f->lock);
	f->wait_id = id;
	pthread_mutex_unlock(&f->lock);
	unref(f);
	return 0;
}

int control_write(struct control_file *f, const char *data, size_t len)
{
	static const char wait_word[] = "wait ";
	size_t word = strlen(wait_word), line = len;
	int ret;

	if (!control_is_writable(f->index))
		return -EACCES;
	if (len > COMMAND_MAX_BYTES)
		return -E2BIG;
	if (line && data[line - 1] == '\n')
		line--;
	if (line <= word || memcmp(data, wait_word, word) || memchr(data, '\0', line))
		return -EINVAL;
	ret = start_wait(f, data + word, line - word);
	return ret < 0 ? ret : (int)len;
}

void control_close(struct control_file *f)
{
	bool running;
	uint64_t id;

	pthread_mutex_lock(&open_lock);
	DL_DELETE(open_files, f);
	pthread_mutex_unlock(&open_lock);
	pthread_mutex_lock(&f->lock);
	assert(!f->reader);
	running = f->commanded && !f->answer && !f->answer_err;
	id = f->wait_id;
	pthread_mutex_unlock(&f->lock);
	/* Not cancelled in time: its callback runs, and drops its own reference. */
	if (running && fs_wait_cancel(f->fs, id))
		unref(f);
	unref(f);
}

void control_end(void)
{
	while (open_files)
		control_close(open_files);
}
