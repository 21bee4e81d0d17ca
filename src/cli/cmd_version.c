#include <stdio.h>

#include "cli/cli.h"

int cmd_version(char **arguments)
{
    struct buffer text = {0};

    if (*arguments) {
        (void)fprintf(stderr, "sparekey: version takes no arguments\n");
        return EXIT_USAGE;
    }
    return cli_print(buffer_append(&text, SLICE("sparekey " SPAREKEY_VERSION "\n"), 256), &text);
}
