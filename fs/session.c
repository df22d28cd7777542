/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The FUSE session. The figures are measured, see the comments. */
#include "fs/session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include "fs/config.h"
#include "fs/devfuse.h"
#include "fs/fs.h"
#include "fs/mounts.h"
#include "fs/ops.h"
#include "s3/base/cleanup.h"
#include "s3/base/log.h"

/* Every thread more makes a round trip dearer (14 µs with one); 2 to 4 help callers that come in parallel. */
#define THREADS              4
#define IDLE_THREADS         2
#define MAX_WRITE_BYTES      (1u << 20) /* libfuse 3.14 takes no more */
#define MAX_BACKGROUND       64
#define CONGESTION           48
#define READ_AHEAD_MAX_BYTES ((uint64_t)16 << 20)

struct session {
	struct fuse_session *se;
	struct fs *fs;
	const struct config *config;
	bool own_mount; /* by fs/devfuse, else by libfuse */
	session_ready_fn ready;
	void *arg;
	pthread_t hands; /* waits for the mount's first answer */
	bool hands_started;
	_Atomic bool serving;
};

void session_init(void *userdata, struct fuse_conn_info *conn)
{
	static const unsigned wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
				       FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_HANDLE_KILLPRIV;
	/* Splice was slower than copying, the write-back cache too. Locks are the kernel's own business: no other
	 * host sees them. Auto would send half of the listings without attributes, and every name then costs a
	 * lookup. */
	static const unsigned unwanted = FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_SPLICE_READ |
					 FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_POSIX_LOCKS |
					 FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_EXPORT_SUPPORT;

	conn->want = (conn->want & ~unwanted) | (conn->capable & wanted);
	conn->max_write = MAX_WRITE_BYTES;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = CONGESTION;
}

/* --------------------------------------------------------------------------------------------------- signals */

static void ending_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

void session_block_signals(void)
{
	sigset_t set;

	ending_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void unblock_signals(void)
{
	sigset_t set;

	ending_signals(&set);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* ------------------------------------------------------------------------------------------- after the mount */

/* INIT can only lower the kernel's readahead of 128 KiB. With 4 MiB a sequential reader is 20 times faster at 20 ms a
 * request. */
static void raise_readahead(dev_t dev, uint64_t bytes)
{
	char path[80], text[24];
	CLEANUP_CLOSE int fd = -1;
	int len;

	if (bytes > READ_AHEAD_MAX_BYTES)
		bytes = READ_AHEAD_MAX_BYTES;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(dev), minor(dev));
	len = snprintf(text, sizeof(text), "%" PRIu64, bytes / 1024);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, (size_t)len) != len)
		log_info("sequential reading will be slower: cannot write %s to %s: %s", text, path, strerror(errno));
}

/* The mount is ready when it answers, which only somebody outside of the loop can see. */
static void *shake_hands(void *arg)
{
	struct session *s = arg;
	struct stat st;
	int err = stat(s->config->mountpoint, &st) < 0 ? errno : 0;

	if (!err)
		raise_readahead(st.st_dev, s->config->readahead_bytes);
	s->ready(s->arg, err);
	if (err && s->serving)
		kill(getpid(), SIGTERM);
	return NULL;
}

/* ----------------------------------------------------------------------------------------------------- mount */

static void log_fuse(enum fuse_log_level level, const char *fmt, va_list args)
{
	char line[512];

	vsnprintf(line, sizeof(line), fmt, args);
	line[strcspn(line, "\n")] = '\0';
	log_write(level <= FUSE_LOG_ERR       ? LOG_LEVEL_ERROR
		  : level <= FUSE_LOG_WARNING ? LOG_LEVEL_WARN
					      : LOG_LEVEL_DEBUG,
		  "%s", line);
}

/* Commas in a value would begin another option. */
static int add_option(struct fuse_args *args, const char *name, const char *value)
{
	CLEANUP_FREE char *text = NULL;
	char *options = NULL;
	int ret;

	if (asprintf(&text, "%s%s", name, value) < 0 || fuse_opt_add_opt_escaped(&options, text) < 0)
		return -1;
	ret = fuse_opt_add_arg(args, "-o") < 0 || fuse_opt_add_arg(args, options) < 0 ? -1 : 0;
	free(options);
	return ret;
}

static struct fuse_session *new_session(const struct session *s)
{
	const struct config *c = s->config;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *se = NULL;

	/* allow_root is libfuse's own doing: it sends everybody else away. */
	if (fuse_opt_add_arg(&args, "s3bridge") == 0 && add_option(&args, "fsname=", c->fsname) == 0 &&
	    add_option(&args, "subtype=", MOUNTS_SUBTYPE) == 0 && add_option(&args, "default_permissions", "") == 0 &&
	    add_option(&args, "nosuid", "") == 0 && add_option(&args, "nodev", "") == 0 &&
	    (!c->readonly || add_option(&args, "ro", "") == 0) &&
	    (!c->noexec || add_option(&args, "noexec", "") == 0) &&
	    (!c->allow_other || add_option(&args, "allow_other", "") == 0) &&
	    (!c->allow_root || add_option(&args, "allow_root", "") == 0))
		se = fuse_session_new(&args, &fs_ops, sizeof(fs_ops), s->fs);
	fuse_opt_free_args(&args);
	return se;
}

static int mount_session(struct session *s, char *err, size_t err_size)
{
	const struct config *c = s->config;
	struct devfuse_options options = {
		.mountpoint = c->mountpoint,
		.source = c->fsname,
		.readonly = c->readonly,
		.noexec = c->noexec,
		.allow_other = c->allow_other || c->allow_root,
	};

	if (s->own_mount)
		return devfuse_mount(s->se, &options, err, err_size);
	if (devfuse_check_user(options.allow_other, err, err_size) < 0)
		return -1;
	if (fuse_session_mount(s->se, c->mountpoint) == 0)
		return 0;
	snprintf(err, err_size, "cannot mount %s: fusermount3 has said why", c->mountpoint);
	return -1;
}

static void unmount_session(struct session *s)
{
	if (s->own_mount)
		devfuse_unmount(s->se, s->config->mountpoint);
	else
		fuse_session_unmount(s->se);
}

static int loop(struct session *s, char *err, size_t err_size)
{
	struct fuse_loop_config *cfg = fuse_loop_cfg_create();
	int ret;

	if (!cfg) {
		snprintf(err, err_size, "out of memory");
		return -1;
	}
	fuse_loop_cfg_set_clone_fd(cfg, 0);
	fuse_loop_cfg_set_max_threads(cfg, THREADS);
	fuse_loop_cfg_set_idle_threads(cfg, IDLE_THREADS);
	ret = fuse_session_loop_mt(s->se, cfg);
	fuse_loop_cfg_destroy(cfg);
	if (ret >= 0) /* positive: the signal that ended it */
		return 0;
	snprintf(err, err_size, "the FUSE session of %s ended: %s", s->config->mountpoint, strerror(-ret));
	return -1;
}

static int serve(struct session *s, char *err, size_t err_size)
{
	int ret;

	ret = pthread_create(&s->hands, NULL, shake_hands, s);
	if (ret) {
		snprintf(err, err_size, "cannot start a thread: %s", strerror(ret));
		return -1;
	}
	s->hands_started = true;
	unblock_signals();
	ret = loop(s, err, err_size);
	session_block_signals();
	s->serving = false;
	return ret;
}

int session_run(struct session *s, char *err, size_t err_size)
{
	int ret;

	if (mount_session(s, err, err_size) < 0)
		return -1;
	s->serving = true;
	if (fuse_set_signal_handlers(s->se) < 0) {
		snprintf(err, err_size, "cannot set signal handlers");
		ret = -1;
	} else {
		ret = serve(s, err, err_size);
		fuse_remove_signal_handlers(s->se);
	}
	unmount_session(s);
	return ret;
}

/* A negative offset leaves the pages alone: only attributes go, which cannot block. */
static void forget_attributes(void *arg, uint64_t ino)
{
	struct session *s = arg;

	if (s->serving)
		fuse_lowlevel_notify_inval_inode(s->se, ino, -1, 0);
}

struct session *session_new(struct fs *fs, session_ready_fn ready, void *arg, char *err, size_t err_size)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s) {
		*s = (struct session){
			.fs = fs, .config = fs_config(fs), .own_mount = geteuid() == 0, .ready = ready, .arg = arg};
		fuse_set_log_func(log_fuse);
		s->se = new_session(s);
		if (s->se) {
			fs_on_stale(fs, forget_attributes, s);
			return s;
		}
	}
	free(s);
	snprintf(err, err_size, "cannot start a FUSE session: out of memory, or libfuse refuses the mount options");
	return NULL;
}

void session_free(struct session *s)
{
	fs_on_stale(s->fs, NULL, NULL);
	/* Closes /dev/fuse: whoever waits for an answer, the hand-shake too, gets ECONNABORTED. */
	fuse_session_destroy(s->se);
	if (s->hands_started)
		pthread_join(s->hands, NULL);
	free(s);
}
