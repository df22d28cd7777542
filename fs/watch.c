/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The live screen: when it is drawn, and how it ends.
 *
 * A child does the work, and the parent does nothing but wait for it: whatever ends the child (Ctrl-C while it waits for a
 * daemon that has stopped answering, too) the parent is there to give the cursor back. */
#include "fs/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/client.h"
#include "fs/mounts.h"
#include "fs/usage.h"
#include "fs/watch_screen.h"
#include "s3/base/clock.h"

#define REFRESH_MS 1000
/* Rates are measured over so many refreshes: parts of 64 MiB do not end every second. */
#define HISTORY 6

#define CURSOR_HIDE  "\x1b[?25l"
#define CURSOR_SHOW  "\x1b[?25h"
#define SCREEN_CLEAR "\x1b[H\x1b[2J"
#define SCREEN_HOME  "\x1b[H"
#define LINE_END     "\x1b[K\n" /* nothing of an older line stays behind a shorter one */
#define SCREEN_END   "\x1b[J"

struct watch {
	const char *mountpoint;
	bool terminal;
	json_t *history[HISTORY]; /* the newest first */
	json_t *since;            /* the last in which nothing was pending */
	unsigned drawn;           /* pictures */
};

static volatile sig_atomic_t resized;

static void on_resize(int sig)
{
	resized = 1;
}

/* -------------------------------------------------------------------------------------------------- the picture */

static void remember(struct watch *w, json_t *status)
{
	json_t *changes = json_object_get(status, "changes");

	json_decref(w->history[HISTORY - 1]);
	memmove(&w->history[1], &w->history[0], (HISTORY - 1) * sizeof(*w->history));
	w->history[0] = status;
	if (w->since && json_integer_value(json_object_get(changes, "pending")))
		return;
	json_decref(w->since);
	w->since = json_incref(status);
}

static json_t *oldest(const struct watch *w)
{
	for (size_t i = HISTORY - 1; i > 0; i--)
		if (w->history[i])
			return w->history[i];
	return NULL;
}

static void measure(const struct watch *w, struct watch_screen *screen)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row) {
		screen->width = size.ws_col;
		screen->height = size.ws_row;
	} else if (w->terminal) {
		screen->width = 80;
		screen->height = 24;
	} else {
		screen->width = 120;
	}
}

/* Every line ends where the terminal's does, and the last one has no newline: that would scroll. */
static void write_over(const char *text)
{
	for (const char *end; (end = strchr(text, '\n')); text = end + 1) {
		fwrite(text, 1, (size_t)(end - text), stdout);
		fputs(end[1] ? LINE_END : "\x1b[K", stdout);
	}
	fputs(SCREEN_END, stdout);
}

/* False: nobody looks any more. */
static bool draw(struct watch *w)
{
	struct watch_screen screen = {.now = w->history[0], .before = oldest(w), .since = w->since};
	CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

	measure(w, &screen);
	watch_screen_draw(&screen, &text);
	if (text.failed)
		return true; /* perhaps there is memory a second later */
	if (!w->terminal) {
		printf("%s%s", w->drawn ? "\n" : "", text.data);
	} else {
		fputs(w->drawn && !resized ? SCREEN_HOME : SCREEN_CLEAR, stdout);
		write_over(text.data);
	}
	resized = 0;
	w->drawn++;
	return fflush(stdout) == 0;
}

/* ----------------------------------------------------------------------------------------------------- the child */

static void complain_gone(const char *mountpoint, int err)
{
	CLEANUP_MOUNT struct mount m = {0};

	if (mounts_at(mountpoint, &m) && !strcmp(m.type, MOUNTS_TYPE))
		client_complain(mountpoint, err);
	else
		complain("%s is not mounted any more", mountpoint);
}

/* Until the next refresh, or until the terminal has another size. */
static void pause_until(int64_t then_ms)
{
	int64_t left_ms = then_ms - clock_monotonic_ms();

	if (left_ms > 0 && !resized)
		poll(NULL, 0, (int)left_ms);
}

static int watch(struct watch *w)
{
	int64_t next_ms = clock_monotonic_ms();

	for (;;) {
		json_t *status;

		if (clock_monotonic_ms() >= next_ms || !w->drawn) {
			status = client_status(w->mountpoint);
			if (!status && errno == EINTR)
				continue; /* a signal that only told of another size */
			if (!status)
				return errno;
			remember(w, status);
			next_ms = clock_monotonic_ms() + REFRESH_MS;
		}
		if (!draw(w))
			return 0;
		pause_until(next_ms);
	}
}

/* Never returns; its exit status is the errno that ended it. */
static void be_child(struct watch *w, pid_t parent, const sigset_t *mask)
{
	struct sigaction action = {.sa_handler = on_resize, .sa_flags = SA_RESTART};

	sigprocmask(SIG_SETMASK, mask, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0);
	sigaction(SIGWINCH, &action, NULL);
	_exit(watch(w));
}

/* ---------------------------------------------------------------------------------------------------- the parent */

static int wait_for_child(pid_t pid, const sigset_t *signals)
{
	int status, sig;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		sig = sigwaitinfo(signals, NULL);
		if (sig > 0 && sig != SIGCHLD)
			kill(pid, sig);
	}
	return status;
}

static void say(const char *sequence)
{
	fputs(sequence, stdout);
	fflush(stdout);
}

int watch_run(const char *mountpoint)
{
	struct watch w = {.mountpoint = mountpoint, .terminal = isatty(STDOUT_FILENO)};
	pid_t pid, self = getpid();
	sigset_t signals, before;
	int status;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, &before);
	if (w.terminal)
		say(CURSOR_HIDE);
	pid = fork();
	if (pid == 0)
		be_child(&w, self, &before);
	status = pid > 0 ? wait_for_child(pid, &signals) : errno << 8;
	if (w.terminal)
		say(CURSOR_SHOW "\n");
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (WIFSIGNALED(status) || WEXITSTATUS(status) == 0)
		return EXIT_OK;
	if (pid < 0)
		complain("cannot start watching: %s", strerror(WEXITSTATUS(status)));
	else
		complain_gone(mountpoint, WEXITSTATUS(status));
	return EXIT_FAILED;
}
