/* An image into a file: image PROMPT FILE.png */
#include <sparekey/sparekey.h>
#include <stdio.h>

static int save(const sparekey_result *answer, const char *path)
{
    size_t len;
    const void *bytes = sparekey_result_image_bytes(answer, 0, &len);
    FILE *file = bytes ? fopen(path, "wb") : NULL;

    if (!file)
        return 1;
    size_t written = fwrite(bytes, 1, len, file);
    return fclose(file) != 0 || written != len;
}

int main(int argc, char **argv)
{
    sparekey_client *client;
    sparekey_result *answer;
    sparekey_error error = SPAREKEY_ERROR_INIT;
    sparekey_image_options options = sparekey_image_options_init();

    if (argc != 3) {
        fputs("usage: image PROMPT FILE.png\n", stderr);
        return 2;
    }
    options.image_size = "1024x1024";
    options.quality = "high";
    options.form = SPAREKEY_IMAGE_BYTES;
    if (sparekey_client_from_environment(NULL, &client, &error) != SPAREKEY_OK ||
        sparekey_generate_image(client, argv[1], &options, &answer, &error) != SPAREKEY_OK) {
        fprintf(stderr, "image: %s\n", error.message);
        return 1;
    }
    int failed = save(answer, argv[2]);
    if (failed)
        perror(argv[2]);
    sparekey_result_free(answer);
    sparekey_client_free(client);
    return failed;
}
