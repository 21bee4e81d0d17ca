#include "cli/screen.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define ENTER_SCREEN "\033[?1049h\033[?25l" /* the alternate screen, without a cursor */
#define LEAVE_SCREEN "\033[?25h\033[?1049l"

static const int watched_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};

static void measure(struct screen *s)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0)
        size = (struct winsize){.ws_row = 24, .ws_col = 80};
    s->rows = size.ws_row;
    s->columns = size.ws_col;
}

static bool write_all(struct slice text)
{
    while (text.len) {
        ssize_t count = write(STDOUT_FILENO, text.ptr, text.len);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        text = slice_from(text, (size_t)count);
    }
    return true;
}

static int open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof watched_signals / sizeof watched_signals[0]; i++)
        sigaddset(&set, watched_signals[i]);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* One descriptor for keys and signals: for whoever waits for something else meanwhile. */
static bool open_watch(struct screen *s)
{
    struct epoll_event event = {.events = EPOLLIN};

    s->watch = epoll_create1(EPOLL_CLOEXEC);
    return s->watch >= 0 && epoll_ctl(s->watch, EPOLL_CTL_ADD, STDIN_FILENO, &event) == 0 &&
           epoll_ctl(s->watch, EPOLL_CTL_ADD, s->signals, &event) == 0;
}

static void close_all(struct screen *s)
{
    if (s->watch >= 0)
        (void)close(s->watch);
    if (s->signals >= 0)
        (void)close(s->signals);
}

bool screen_enter(struct screen *s)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &s->before) != 0)
        return false;
    s->watch = -1;
    s->signals = open_signals();
    if (s->signals < 0 || !open_watch(s)) {
        close_all(s);
        return false;
    }
    struct termios raw = s->before;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    raw.c_cc[VMIN] = 0; /* a read that finds nothing does not wait */
    raw.c_cc[VTIME] = 0;
    raw.c_cc[VSUSP] = _POSIX_VDISABLE; /* Ctrl-Z would leave the terminal as it is now */
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    (void)write_all(SLICE(ENTER_SCREEN));
    measure(s);
    return true;
}

void screen_leave(struct screen *s)
{
    (void)write_all(SLICE(LEAVE_SCREEN));
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
    close_all(s);
}

/* ---- events ------------------------------------------------------------------------------ */

static enum screen_event read_signal(struct screen *s)
{
    struct signalfd_siginfo info;

    if (read(s->signals, &info, sizeof info) != sizeof info)
        return SCREEN_NOTHING;
    if (info.ssi_signo != SIGWINCH)
        return SCREEN_QUIT;
    measure(s);
    return SCREEN_RESIZED;
}

static enum screen_event read_key(short events)
{
    char key;
    ssize_t count = read(STDIN_FILENO, &key, 1);

    if (count < 0)
        return errno == EINTR || errno == EAGAIN ? SCREEN_NOTHING : SCREEN_QUIT;
    if (count == 0) /* a terminal that hung up says so */
        return events & (POLLHUP | POLLERR) ? SCREEN_QUIT : SCREEN_NOTHING;
    return key == 'q' || key == 'Q' || key == 3 ? SCREEN_QUIT : SCREEN_KEY;
}

enum screen_event screen_wait(struct screen *s, int64_t wait_ms)
{
    struct pollfd fds[2] = {{.fd = s->signals, .events = POLLIN},
                            {.fd = STDIN_FILENO, .events = POLLIN}};

    if (poll(fds, 2, (int)wait_ms) <= 0)
        return SCREEN_NOTHING;
    if (fds[0].revents)
        return read_signal(s);
    return read_key(fds[1].revents);
}

/* ---- drawing ----------------------------------------------------------------------------- */

bool screen_draw(struct screen *s, struct slice text)
{
    struct buffer out = {0};
    struct slice line;
    size_t most = text.len + 16 * (size_t)s->rows + 64;
    enum status status = buffer_append(&out, SLICE("\033[H"), most);

    for (unsigned row = 0; row < s->rows && text.len && status == STATUS_OK; row++) {
        const char *end = memchr(text.ptr, '\n', text.len);
        line = slice_of(text.ptr, end ? (size_t)(end - text.ptr) : text.len);
        text = slice_from(text, line.len + 1);
        status =
            buffer_printf(&out, most, "%s%.*s\033[K", row ? "\r\n" : "", (int)line.len, line.ptr);
    }
    if (status == STATUS_OK)
        status = buffer_append(&out, SLICE("\033[J"), most);
    bool written = status == STATUS_OK && write_all(buffer_slice(&out));
    buffer_clear(&out);
    return written;
}
