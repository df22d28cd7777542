/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading the command line of mount. What then runs is fs/serve. */
#include "fs/cmd_mount.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "fs/config.h"
#include "fs/daemon.h"
#include "fs/serve.h"
#include "fs/usage.h"
#include "s3/base/strbuf.h"

#define ERR_SIZE 4608 /* a path and a sentence */

struct command {
	struct config config;
	struct strbuf options; /* all -o, joined: they are applied last, so that they win over the file */
	char err[ERR_SIZE];
};

static void command_clear(struct command *cmd)
{
	config_clear(&cmd->config);
	strbuf_free(&cmd->options);
}

static void add_options(struct command *cmd, const char *text)
{
	if (cmd->options.len)
		strbuf_addch(&cmd->options, ',');
	strbuf_addstr(&cmd->options, text);
}

static int apply_options(struct command *cmd)
{
	if (cmd->options.failed)
		return complain_usage("mount", "out of memory");
	if (cmd->options.len && config_add_options(&cmd->config, cmd->options.data, cmd->err, sizeof(cmd->err)) < 0)
		return complain_usage("mount", "%s", cmd->err);
	return EXIT_OK;
}

static int read_file(struct command *cmd, const char *path)
{
	if (config_read_file(&cmd->config, path, cmd->err, sizeof(cmd->err)) == 0)
		return EXIT_OK;
	complain("%s", cmd->err);
	return EXIT_FAILED;
}

/* Everything is known: mounts, in the background or not. */
static int run(struct command *cmd)
{
	struct config *c = &cmd->config;
	int ready_fd = -1, code;

	if (config_finish(c, cmd->err, sizeof(cmd->err)) < 0) {
		complain("%s", cmd->err);
		return EXIT_FAILED;
	}
	if (!c->foreground) {
		code = daemon_start(&ready_fd);
		if (code >= 0)
			return code;
	}
	return serve(c, ready_fd);
}

static int add_positionals(struct command *cmd, char **args, int count)
{
	struct config *c = &cmd->config;

	if (count == 0 || strstr(args[count - 1], "=s3://"))
		return complain_usage("mount", "no mount point given: it is the last argument");
	for (int i = 0; i < count - 1; i++)
		if (config_add_argument(c, args[i], cmd->err, sizeof(cmd->err)) < 0)
			return complain_usage("mount", "%s", cmd->err);
	if (config_set_mountpoint(c, args[count - 1], cmd->err, sizeof(cmd->err)) < 0)
		return complain_usage("mount", "%s", cmd->err);
	return apply_options(cmd);
}

/* EXIT_OK: go on. -1: the help was shown. */
static int parse(struct command *cmd, int argc, char **argv)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},
		{"config", required_argument, NULL, 'c'},
		{"foreground", no_argument, NULL, 'f'},
		{"options", required_argument, NULL, 'o'},
		{NULL, 0, NULL, 0},
	};
	int opt, code;

	while ((opt = getopt_long(argc, argv, ":fc:o:h", options, NULL)) != -1) {
		switch (opt) {
		case 'f':
			cmd->config.foreground = true;
			break;
		case 'c':
			code = read_file(cmd, optarg);
			if (code)
				return code;
			break;
		case 'o':
			add_options(cmd, optarg);
			break;
		case 'h':
			fputs(usage_text("mount"), stdout);
			return -1;
		default:
			return complain_option("mount", opt, argv);
		}
	}
	return add_positionals(cmd, argv + optind, argc - optind);
}

int cmd_mount(int argc, char **argv)
{
	struct command cmd = {.options = STRBUF_INIT};
	int code;

	config_init(&cmd.config);
	code = parse(&cmd, argc, argv);
	if (code == EXIT_OK)
		code = run(&cmd);
	command_clear(&cmd);
	return code < 0 ? EXIT_OK : code;
}

/* EXIT_OK: go on. */
static int parse_helper(struct command *cmd, int argc, char **argv, bool *fake)
{
	struct config *c = &cmd->config;
	int opt, code;
	char **args;

	while ((opt = getopt(argc, argv, ":sfnvN:o:t:")) != -1) {
		switch (opt) {
		case 'o':
			add_options(cmd, optarg);
			break;
		case 'f':
			*fake = true;
			break;
		case ':':
		case '?':
			return complain_option("mount", opt, argv);
		default: /* -s -n -v -N -t: mount(8) says them, and they change nothing here */
			break;
		}
	}
	args = argv + optind;
	if (argc - optind != 2)
		return complain_usage("mount", "expected a config file and a mount point");
	if (strstr(args[0], "=s3://")) {
		if (config_add_argument(c, args[0], cmd->err, sizeof(cmd->err)) < 0)
			return complain_usage("mount", "%s", cmd->err);
	} else {
		code = read_file(cmd, args[0]);
		if (code)
			return code;
	}
	if (config_set_mountpoint(c, args[1], cmd->err, sizeof(cmd->err)) < 0)
		return complain_usage("mount", "%s", cmd->err);
	return apply_options(cmd);
}

int cmd_mount_helper(int argc, char **argv)
{
	struct command cmd = {.options = STRBUF_INIT};
	bool fake = false;
	int code;

	config_init(&cmd.config);
	code = parse_helper(&cmd, argc, argv, &fake);
	if (code == EXIT_OK && !fake)
		code = run(&cmd);
	command_clear(&cmd);
	return code;
}
