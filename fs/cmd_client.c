/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wait, status, unmount. */
#include "fs/cmd_client.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/client.h"
#include "fs/mounts.h"
#include "fs/status_print.h"
#include "fs/usage.h"
#include "fs/watch.h"
#include "s3/base/cleanup.h"
#include "s3/base/clock.h"

#define UNMOUNT_SAY_AFTER_S 1.0 /* what is fast needs no words */
#define DAEMON_END_MS       10000
#define POLL_MS             10
#define UNMOUNT_TRIES       20 /* so often while it is in use: who watches has a file open for a moment each second */

extern char **environ;

enum {
	OPT_TIMEOUT = 256,
	OPT_JSON,
	OPT_WATCH,
};

struct arguments {
	double timeout_s; /* 0: none */
	bool json, watch;
	const char *path;
};

/* EXIT_OK: go on. -1: the help was shown. LONGS holds the options beside --help. */
static int parse(const char *command, int argc, char **argv, const struct option *longs, struct arguments *out)
{
	char *end;
	int opt;

	while ((opt = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
		switch (opt) {
		case OPT_TIMEOUT:
			out->timeout_s = strtod(optarg, &end);
			if (end == optarg || *end || !isfinite(out->timeout_s) || out->timeout_s <= 0 ||
			    out->timeout_s > 1e9)
				return complain_usage(command, "--timeout %s: expected a number of seconds above 0",
						      optarg);
			break;
		case OPT_JSON:
			out->json = true;
			break;
		case OPT_WATCH:
			out->watch = true;
			break;
		case 'h':
			fputs(usage_text(command), stdout);
			return -1;
		default:
			return complain_option(command, opt, argv);
		}
	}
	if (argc - optind != 1)
		return complain_usage(command, "expected one %s", strcmp(command, "wait") ? "mount point" : "path");
	out->path = argv[optind];
	return EXIT_OK;
}

/* ----------------------------------------------------------------------------------------------------- timer */

static void on_alarm(int sig)
{
}

/* SIGALRM after SECONDS, which interrupts a read; again every second, should it have come just before the read. */
static void set_alarm(double seconds)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct itimerval timer = {.it_interval = {.tv_sec = 1}};

	sigaction(SIGALRM, &action, NULL);
	timer.it_value.tv_sec = (time_t)seconds;
	timer.it_value.tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6);
	if (!timer.it_value.tv_sec && !timer.it_value.tv_usec)
		timer.it_value.tv_usec = 1;
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void clear_alarm(void)
{
	setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
}

/* ------------------------------------------------------------------------------------------------------ wait */

static int report_failures(json_t *answer)
{
	return status_print_failures(stderr, answer, "") ? EXIT_FAILED : EXIT_OK;
}

static int wait_for(const struct client *c, double timeout_s)
{
	CLEANUP_CLOSE int fd = client_wait(c->mountpoint, c->path);
	json_t *answer;
	int code;

	if (fd < 0) {
		client_complain(c->mountpoint, errno);
		return EXIT_FAILED;
	}
	if (timeout_s > 0)
		set_alarm(timeout_s);
	answer = client_answer(fd);
	clear_alarm();
	if (!answer && errno == EINTR) {
		complain("not everything below %s%s was stored within %g seconds", c->mountpoint,
			 strcmp(c->path, "/") ? c->path : "", timeout_s);
		return EXIT_TIMED_OUT;
	}
	if (!answer) {
		client_complain(c->mountpoint, errno);
		return EXIT_FAILED;
	}
	code = report_failures(answer);
	json_decref(answer);
	return code;
}

int cmd_wait(int argc, char **argv)
{
	static const struct option longs[] = {
		{"help", no_argument, NULL, 'h'},
		{"timeout", required_argument, NULL, OPT_TIMEOUT},
		{NULL, 0, NULL, 0},
	};
	CLEANUP_CLIENT struct client c = {0};
	struct arguments args = {0};
	int code = parse("wait", argc, argv, longs, &args);

	if (code)
		return code < 0 ? EXIT_OK : code;
	return client_find(args.path, &c) ? wait_for(&c, args.timeout_s) : EXIT_FAILED;
}

/* ---------------------------------------------------------------------------------------------------- status */

int cmd_status(int argc, char **argv)
{
	static const struct option longs[] = {
		{"help", no_argument, NULL, 'h'},
		{"json", no_argument, NULL, OPT_JSON},
		{"watch", no_argument, NULL, OPT_WATCH},
		{NULL, 0, NULL, 0},
	};
	CLEANUP_CLIENT struct client c = {0};
	struct arguments args = {0};
	json_t *status;
	int code = parse("status", argc, argv, longs, &args);

	if (code)
		return code < 0 ? EXIT_OK : code;
	if (args.json && args.watch)
		return complain_usage("status", "--json and --watch: choose one");
	if (!client_find(args.path, &c))
		return EXIT_FAILED;
	if (args.watch)
		return watch_run(c.mountpoint);
	status = client_status(c.mountpoint);
	if (!status) {
		client_complain(c.mountpoint, errno);
		return EXIT_FAILED;
	}
	if (args.json) {
		json_dumpf(status, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		status_print(stdout, status);
	}
	json_decref(status);
	return fflush(stdout) ? EXIT_FAILED : EXIT_OK;
}

/* --------------------------------------------------------------------------------------------------- unmount */

static void say_waiting(const char *mountpoint)
{
	json_t *status = client_status(mountpoint), *changes = json_object_get(status, "changes");
	json_int_t pending = json_integer_value(json_object_get(changes, "pending"));
	char size[SIZE_TEXT_BYTES];

	if (changes)
		complain("waiting for %" JSON_INTEGER_FORMAT " change%s, %s", pending, pending == 1 ? "" : "s",
			 status_size((uint64_t)json_integer_value(json_object_get(changes, "pending_bytes")), size));
	json_decref(status);
}

static int wait_for_all(const char *mountpoint)
{
	CLEANUP_CLOSE int fd = client_wait(mountpoint, "/");
	json_t *answer;
	int code;

	if (fd < 0) {
		client_complain(mountpoint, errno);
		return EXIT_FAILED;
	}
	set_alarm(UNMOUNT_SAY_AFTER_S);
	answer = client_answer(fd);
	clear_alarm();
	if (!answer && errno == EINTR) {
		say_waiting(mountpoint);
		answer = client_answer(fd);
	}
	if (!answer) {
		client_complain(mountpoint, errno);
		return EXIT_FAILED;
	}
	code = report_failures(answer);
	json_decref(answer);
	return code;
}

static bool still_mounted(const char *mountpoint)
{
	CLEANUP_MOUNT struct mount m = {0};

	return mounts_at(mountpoint, &m) && strcmp(m.type, MOUNTS_TYPE) == 0;
}

/* Needs no privileges: fusermount3 is set-user-id root. What it says is kept quiet, as we look ourselves. An errno when it could not
 * be run. */
static int run_fusermount(const char *mountpoint, bool lazy)
{
	char *args[] = {(char *)"fusermount3", (char *)(lazy ? "-uz" : "-u"), (char *)"--", (char *)mountpoint, NULL};
	posix_spawn_file_actions_t quiet;
	int status, err;
	pid_t pid;

	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	err = posix_spawnp(&pid, args[0], &quiet, NULL, args, environ);
	posix_spawn_file_actions_destroy(&quiet);
	if (err)
		complain("cannot run fusermount3: is the package fuse3 installed?");
	while (!err && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return err;
}

/* 0 when it is unmounted now, else an errno. */
static int try_unmount(const char *mountpoint, bool lazy)
{
	int err;

	if (geteuid() == 0)
		return umount2(mountpoint, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) < 0 ? errno : 0;
	err = run_fusermount(mountpoint, lazy);
	return err || !still_mounted(mountpoint) ? err : EBUSY;
}

/* LAZY: also when it is in use. */
static int unmount(const char *mountpoint, bool lazy)
{
	int err = try_unmount(mountpoint, lazy);

	for (int i = 1; err == EBUSY && i < UNMOUNT_TRIES; i++) {
		nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
		err = try_unmount(mountpoint, lazy);
	}
	if (!err)
		return EXIT_OK;
	if (err == EBUSY)
		complain("%s is still in use: close its files and leave its directories (\"fuser -vm %s\" names the "
			 "programs), then "
			 "unmount again",
			 mountpoint, mountpoint);
	else
		complain("cannot unmount %s: %s", mountpoint, strerror(err));
	return EXIT_FAILED;
}

/* A zombie has ended too: whoever started the mount has just not looked yet. */
static bool is_running(pid_t pid)
{
	char path[32], text[128];
	CLEANUP_FCLOSE FILE *f = NULL;
	const char *state;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	len = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
	text[len] = '\0';
	state = strrchr(text, ')');
	return state && strlen(state) > 2 && !strchr("ZX", state[2]);
}

static int wait_for_end(pid_t pid, const char *mountpoint)
{
	int64_t end_ms = clock_monotonic_ms() + DAEMON_END_MS;

	while (pid > 0 && is_running(pid)) {
		if (clock_monotonic_ms() > end_ms) {
			complain("%s is unmounted, but its daemon (pid %d) is still storing changes: its log says more",
				 mountpoint, (int)pid);
			return EXIT_FAILED;
		}
		nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
	}
	return EXIT_OK;
}

static int unmount_dead(const char *mountpoint)
{
	complain("the daemon of %s is gone: what it had not stored is lost", mountpoint);
	unmount(mountpoint, true);
	return EXIT_FAILED;
}

static int finish_and_unmount(const char *mountpoint)
{
	json_t *status = client_status(mountpoint);
	pid_t pid;
	int code;

	if (!status && (errno == ENOTCONN || errno == ECONNABORTED))
		return unmount_dead(mountpoint);
	if (!status) {
		client_complain(mountpoint, errno);
		return EXIT_FAILED;
	}
	pid = (pid_t)json_integer_value(json_object_get(status, "pid"));
	json_decref(status);
	code = wait_for_all(mountpoint);
	/* Failures are not a reason to keep the mount: they were listed, and waiting longer changes nothing. */
	if (unmount(mountpoint, false) != EXIT_OK || wait_for_end(pid, mountpoint) != EXIT_OK)
		return EXIT_FAILED;
	return code;
}

int cmd_unmount(int argc, char **argv)
{
	static const struct option longs[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	CLEANUP_CLIENT struct client c = {0};
	struct arguments args = {0};
	int code = parse("unmount", argc, argv, longs, &args);

	if (code)
		return code < 0 ? EXIT_OK : code;
	if (!client_find(args.path, &c))
		return EXIT_FAILED;
	if (strcmp(c.path, "/")) {
		complain("%s is inside the mount %s: name the mount point itself", args.path, c.mountpoint);
		return EXIT_FAILED;
	}
	if (chdir("/") < 0) /* else we might be the one who uses it */
		complain("cannot leave the current directory: %s", strerror(errno));
	return finish_and_unmount(c.mountpoint);
}
