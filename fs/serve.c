/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Everything is built in one order and taken down in the reverse. */
#include "fs/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "fs/bucket_check.h"
#include "fs/control.h"
#include "fs/daemon.h"
#include "fs/fs.h"
#include "fs/recorder.h"
#include "fs/session.h"
#include "fs/status.h"
#include "fs/usage.h"
#include "s3/base/cleanup.h"
#include "s3/base/log.h"
#include "s3/s3.h"
#include "sched/sched.h"

#define ERR_SIZE 1024

struct server {
	struct config *config;
	int ready_fd;
	int log_fd;                 /* -1: none */
	struct s3_bucket **buckets; /* as many as in the config; NULL where it was not made */
	struct s3_backend *backend;
	struct sched *sched;
	struct recorder *recorder;
	struct fs *fs;
	struct session *session;
	_Atomic bool ready;  /* the mount has answered: complaints go to the log from now on */
	_Atomic bool failed; /* it never did */
	_Atomic bool stored; /* the last changes have ended */
	pthread_t main_thread;
};

/* ----------------------------------------------------------------------------------------------------- birth */

static int open_log(struct server *s)
{
	const struct config *c = s->config;

	if (c->debug)
		log_set_level(LOG_LEVEL_DEBUG);
	if (!c->log_file)
		return 0;
	s->log_fd = open(c->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (s->log_fd >= 0)
		return 0;
	complain("cannot open the log file %s: %s", c->log_file, strerror(errno));
	return -1;
}

static int make_buckets(struct server *s)
{
	struct config *c = s->config;
	char err[ERR_SIZE];
	int ret = 0;

	s->buckets = calloc(c->bucket_count, sizeof(*s->buckets));
	for (size_t i = 0; s->buckets && i < c->bucket_count; i++) {
		const struct config_bucket *b = &c->buckets[i];
		struct s3_bucket_config bc = {
			.name = b->name,
			.bucket = b->bucket,
			.endpoint = b->endpoint,
			.region = b->region,
			.access_key_id = b->access_key_id,
			.secret_access_key = b->secret_access_key,
			.session_token = b->session_token,
			.ca_file = b->ca_file,
			.path_style = b->path_style,
		};

		s->buckets[i] = s3_bucket_new(&bc, err, sizeof(err));
		if (!s->buckets[i]) {
			complain("%s", err);
			ret = -1;
		}
	}
	config_wipe_secrets(c);
	if (s->buckets)
		return ret;
	complain("out of memory");
	return -1;
}

static void bucket_failed(void *arg, const char *sentence)
{
	complain("%s", sentence);
}

static int reach_buckets(struct server *s)
{
	const struct config *c = s->config;
	CLEANUP_FREE const char **prefixes = calloc(c->bucket_count, sizeof(*prefixes));

	if (!prefixes) {
		complain("out of memory");
		return -1;
	}
	for (size_t i = 0; i < c->bucket_count; i++)
		prefixes[i] = c->buckets[i].prefix;
	return bucket_check(s->backend, s->buckets, prefixes, c->bucket_count, BUCKET_CHECK_DEADLINE_MS, bucket_failed,
			    NULL)
		       ? -1
		       : 0;
}

/* The mount answers: from here on nobody looks at the terminal. */
static void became_ready(void *arg, int err)
{
	struct server *s = arg;
	const struct config *c = s->config;

	if (err) {
		complain("the mount at %s does not answer: %s", c->mountpoint, strerror(err));
		s->failed = true;
		return;
	}
	if (!c->debug)
		prctl(PR_SET_DUMPABLE, 0); /* the keys are in this process's memory */
	if (!c->debug)
		log_set_level(LOG_LEVEL_INFO);
	if (s->log_fd >= 0)
		log_set_fd(s->log_fd);
	else if (s->ready_fd >= 0)
		log_set_syslog(true);
	log_info("mounted %s: %zu bucket%s, memory limit %" PRIu64 " MiB, writeback=%s", c->mountpoint, c->bucket_count,
		 c->bucket_count == 1 ? "" : "s", sched_memory_limit(sched_memory_of(s->sched)) >> 20,
		 writeback_name(c->writeback));
	s->ready = true;
	if (s->ready_fd >= 0 && !daemon_ready(s->ready_fd)) {
		log_error("the mount command was killed before %s was ready: unmounting", c->mountpoint);
		kill(getpid(), SIGTERM);
	}
}

static int build(struct server *s)
{
	const struct config *c = s->config;
	struct sched_config sc = {
		.memory_limit_bytes = c->memory_limit_bytes,
		.no_priority_queues = !c->priority_queues,
		.no_dynamic_memory = !c->dynamic_memory,
		.no_streaming_optimizer = !c->streaming_optimizer,
		.no_network_monitor = !c->network_monitor,
		.medium_from_bytes = c->medium_from_bytes,
		.low_from_bytes = c->low_from_bytes,
		.concurrency = c->concurrency,
		.chunk_workers = c->chunk_workers,
		.part_size_bytes = c->part_size_bytes,
	};
	char err[ERR_SIZE] = "out of memory";
	int ret;

	if (open_log(s) < 0 || make_buckets(s) < 0)
		return -1;
	s->backend = s3_client_new(&(struct s3_client_options){0}, err, sizeof(err));
	if (!s->backend)
		goto failed;
	if (reach_buckets(s) < 0)
		return -1;
	s->sched = sched_new(&sc, s->backend);
	if (!s->sched)
		goto failed;
	s->recorder = recorder_new(s->sched);
	if (!s->recorder)
		goto failed;
	ret = sched_start(s->sched);
	if (ret < 0) {
		complain("cannot start the scheduler: %s", strerror(-ret));
		return -1;
	}
	s->fs = fs_new(c, s->sched, s->buckets);
	if (!s->fs)
		goto failed;
	fs_set_recorder(s->fs, s->recorder);
	s->session = session_new(s->fs, became_ready, s, err, sizeof(err));
	if (s->session)
		return 0;
failed:
	complain("%s", err);
	return -1;
}

/* ------------------------------------------------------------------------------------------------------- end */

static void wake_waiter(void *arg)
{
	struct server *s = arg;

	s->stored = true;
	pthread_kill(s->main_thread, SIGUSR1);
}

static void log_failure(void *arg, const char *path, const char *error)
{
	log_error("not stored: %s: %s", path, error);
}

static void log_lost(const struct server *s)
{
	struct fs_pending left;

	fs_pending(s->fs, "/", &left);
	log_error("ended by a second signal: %u change%s (%" PRIu64 " bytes) below %s not stored, and lost",
		  left.changes, left.changes == 1 ? "" : "s", left.bytes, s->config->mountpoint);
}

/* What was written is stored even when the mount is already gone: umount and SIGTERM lose nothing. A second signal does
 * not wait any longer. Returns how many changes failed. */
static unsigned finish_changes(struct server *s)
{
	struct fs_pending left;
	struct fs_stats stats;
	sigset_t set;

	fs_stats(s->fs, &stats);
	if (stats.open_files)
		log_info("%u %s still open when %s was unmounted", stats.open_files,
			 stats.open_files == 1 ? "file was" : "files were", s->config->mountpoint);
	fs_end(s->fs);
	fs_pending(s->fs, "/", &left);
	if (left.changes)
		log_info("storing the last %u change%s (%" PRIu64 " bytes)", left.changes, left.changes == 1 ? "" : "s",
			 left.bytes);
	s->main_thread = pthread_self();
	fs_wait(s->fs, "/", wake_waiter, s);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	while (!s->stored) {
		int sig = sigwaitinfo(&set, NULL);

		if (sig == SIGTERM || sig == SIGINT) {
			log_lost(s);
			_exit(EXIT_FAILED);
		}
	}
	return fs_failures(s->fs, "/", log_failure, NULL);
}

static void tear_down(struct server *s)
{
	if (s->sched)
		sched_stop(s->sched);
	control_end();
	if (s->session)
		session_free(s->session);
	if (s->fs)
		fs_free(s->fs);
	if (s->sched)
		sched_free(s->sched);
	recorder_free(s->recorder);
	if (s->backend)
		s->backend->ops->destroy(s->backend);
	for (size_t i = 0; s->buckets && i < s->config->bucket_count; i++)
		if (s->buckets[i])
			s3_bucket_free(s->buckets[i]);
	free(s->buckets);
	if (s->log_fd >= 0) {
		log_set_fd(STDERR_FILENO);
		close(s->log_fd);
	}
}

/* The signals that end us go to the main thread alone, and SIGUSR1 is how a thread wakes it. */
static void prepare_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	session_block_signals();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int serve(struct config *config, int ready_fd)
{
	struct server s = {.config = config, .ready_fd = ready_fd, .log_fd = -1};
	char err[ERR_SIZE];
	int code = EXIT_FAILED;

	prepare_signals();
	status_start();
	if (build(&s) == 0) {
		if (session_run(s.session, err, sizeof(err)) < 0) {
			if (s.ready)
				log_error("%s", err);
			else
				complain("%s", err);
		} else if (!s.failed) {
			code = EXIT_OK;
		}
		if (finish_changes(&s))
			code = EXIT_FAILED;
		log_info("unmounted %s", config->mountpoint);
	}
	tear_down(&s);
	return code;
}
