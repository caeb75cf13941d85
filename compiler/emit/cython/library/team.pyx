cdef extern from *:
    """
    /* A team of threads shares out numbered pieces of work. Whoever is free claims the next piece, so that a thread
       that the system has put aside delays the piece in its hands and nothing else; one that has not woken up yet
       delays nothing. Which thread computes a piece changes no bit: a piece is always the same work. */
    typedef void (*Piece)(const void *context, Py_ssize_t number, Py_ssize_t count, Py_ssize_t member);

    #ifdef _WIN32
    #define TEAM_THREADS 0
    typedef struct Team Team;
    static inline Team *team_new(int members, int sites) { (void)members; (void)sites; return NULL; }
    static inline void team_free(Team *team) { (void)team; }
    static inline void team_forget(Team *team) { (void)team; }
    static inline void team_share(
        Team *team, int site, Py_ssize_t size, Piece piece, const void *context, Py_ssize_t count)
    {
        (void)team; (void)site; (void)size;
        for (Py_ssize_t number = 0; number < count; number++) piece(context, number, count, 0);
    }
    #else
    #define TEAM_THREADS 1
    #include <pthread.h>
    #include <signal.h>
    #include <stdlib.h>
    #include <time.h>

    /* Nanoseconds. The system and other programs decide when a thread runs; these are what a team does about it. The
       first three may be set when this is compiled. */
    #ifndef TEAM_ALONE
    /* Work that takes less is done alone: to share it takes about a tenth of this. */
    #define TEAM_ALONE 4000
    /* Work that takes less wakes nobody, but a member that is awake joins in. */
    #define TEAM_WAKES 20000
    /* When the caller has lost more than this, and more than half of what it saved, it works alone for a while: for
       the second, twice as long when it happens again soon, and so on up to the third. Work above the fourth has an
       account of its own, and may lose all that it saved: who is put aside with a piece in hand comes back after some
       milliseconds, and it is long work in which the others have something to do until then. */
    #define TEAM_LOSS 5000000
    #endif
    #define TEAM_RESTS 25000000
    #define TEAM_RESTS_LONGEST 400000000
    #define TEAM_LONG 2000000
    /* What was saved and lost is forgotten by halves when it is more than this. */
    #define TEAM_MEMORY 50000000
    /* A member that finds no work looks for it this long, about what it takes to wake one, and then sleeps. */
    #define TEAM_LOOKS 100000
    /* Whoever waits for the last pieces of the others does so awake for this long at most. */
    #define TEAM_WAITS 1000000
    /* Who was away for longer than the first was put aside by the system: others want the processors. For as long as
       the second, nobody looks or waits awake. */
    #define TEAM_AWAY 500000
    #define TEAM_CROWDED 20000000
    /* Bytes of a member's stack; the default is too small on some systems. */
    #define TEAM_STACK (4 << 20)

    typedef struct Team Team;
    typedef struct { Team *team; int number; pthread_t thread; } Member;
    /* What others saved the caller, and what it lost by waking and waiting for them; until when it works alone. */
    typedef struct { int64_t saved, lost, alone_until, alone_for; } Account;
    struct Team {
        /* The number of the job, and its pieces that are not claimed, their end and the first: 32, 16 and 16 bits. It
           and the number of pieces that are not done have cache lines of their own. */
        uint64_t ticket __attribute__((aligned(64)));
        uint64_t unfinished __attribute__((aligned(64)));
        Piece piece __attribute__((aligned(64)));
        const void *context;
        Py_ssize_t count;
        int64_t crowded_until;
        int asleep, waiting, stopping, started, members;
        pthread_mutex_t mutex;
        pthread_cond_t work, done;
        /* Of short work and of long work. */
        Account accounts[2];
        /* Of each place that shares work out: what it takes alone and undisturbed, for each unit of its size. */
        double *cost;
        Member *helpers;
    };

    static inline int64_t team_now(void)
    {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    }

    static inline void team_pause(void)
    {
        for (int k = 0; k < 16; k++) {
            #if defined(__x86_64__) || defined(__i386__)
            __builtin_ia32_pause();
            #elif defined(__aarch64__)
            __asm__ volatile("yield");
            #endif
        }
    }

    /* Claims pieces until none is left: the caller the first that is left, helpers the last, so that on two threads
       most values stay in the cache of one processor from job to job. */
    static inline Py_ssize_t team_claim(Team *team, int member)
    {
        Py_ssize_t claimed = 0;
        uint64_t ticket = __atomic_load_n(&team->ticket, __ATOMIC_ACQUIRE), first, end;
        while ((first = ticket & 0xffff) < (end = ticket >> 16 & 0xffff)) {
            /* They are of the ticket's job if the ticket is still the same when the piece is claimed. */
            Piece piece = __atomic_load_n(&team->piece, __ATOMIC_RELAXED);
            const void *context = __atomic_load_n(&team->context, __ATOMIC_RELAXED);
            Py_ssize_t count = __atomic_load_n(&team->count, __ATOMIC_RELAXED);
            uint64_t rest = member ? ticket - 0x10000 : ticket + 1;
            if (!__atomic_compare_exchange_n(&team->ticket, &ticket, rest, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
                continue;
            piece(context, (Py_ssize_t)(member ? end - 1 : first), count, member);
            claimed++;
            if (__atomic_sub_fetch(&team->unfinished, 1, __ATOMIC_SEQ_CST) == 0
                && __atomic_load_n(&team->waiting, __ATOMIC_SEQ_CST)) {
                pthread_mutex_lock(&team->mutex);
                pthread_cond_signal(&team->done);
                pthread_mutex_unlock(&team->mutex);
            }
            ticket = __atomic_load_n(&team->ticket, __ATOMIC_ACQUIRE);
        }
        return claimed;
    }

    static inline int team_crowded(Team *team, int64_t now)
    { return now < __atomic_load_n(&team->crowded_until, __ATOMIC_RELAXED); }

    static inline void team_away(Team *team, int64_t now, int64_t time)
    { if (time > TEAM_AWAY) __atomic_store_n(&team->crowded_until, now + TEAM_CROWDED, __ATOMIC_RELAXED); }

    static inline int team_new_job(Team *team, uint64_t job)
    { return __atomic_load_n(&team->ticket, __ATOMIC_SEQ_CST) >> 32 != job; }

    /* Looks for a new job for a while; says whether there is one. */
    static int team_look(Team *team, uint64_t job)
    {
        int64_t now = team_now(), until = now + TEAM_LOOKS, last;
        while (now < until && !team_crowded(team, now)) {
            team_pause();
            if (team_new_job(team, job)) return 1;
            last = now;
            now = team_now();
            team_away(team, now, now - last);
        }
        return 0;
    }

    static void *team_help(void *given)
    {
        Member *member = (Member *)given;
        Team *team = member->team;
        int stopping = 0;
        while (!stopping) {
            uint64_t job = __atomic_load_n(&team->ticket, __ATOMIC_ACQUIRE) >> 32;
            team_claim(team, member->number);
            if (team_look(team, job)) continue;
            pthread_mutex_lock(&team->mutex);
            __atomic_add_fetch(&team->asleep, 1, __ATOMIC_SEQ_CST);
            while (!team->stopping && !team_new_job(team, job)) pthread_cond_wait(&team->work, &team->mutex);
            __atomic_sub_fetch(&team->asleep, 1, __ATOMIC_SEQ_CST);
            stopping = team->stopping;
            pthread_mutex_unlock(&team->mutex);
        }
        return NULL;
    }

    /* What can be started of the helpers; a system that gives no thread leaves the work to those that there are. */
    static void team_start(Team *team)
    {
        sigset_t all, before;
        pthread_attr_t attributes;
        team->started = 1;
        /* Signals are for Python's threads. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, TEAM_STACK);
        for (int number = 1; number < team->members; number++) {
            Member *member = &team->helpers[number];
            member->team = team;
            member->number = number;
            if (pthread_create(&member->thread, &attributes, team_help, member)) break;
            team->started++;
        }
        pthread_attr_destroy(&attributes);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }

    /* Waits until every piece is done: awake while the others must be about to finish, then asleep. */
    static void team_wait(Team *team, int64_t begun, int64_t patience)
    {
        int64_t now = begun;
        while (now - begun < patience && now - begun < TEAM_WAITS && !team_crowded(team, now)) {
            for (int k = 0; k < 8; k++) {
                if (!__atomic_load_n(&team->unfinished, __ATOMIC_ACQUIRE)) return;
                team_pause();
            }
            now = team_now();
        }
        pthread_mutex_lock(&team->mutex);
        __atomic_store_n(&team->waiting, 1, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&team->unfinished, __ATOMIC_SEQ_CST)) pthread_cond_wait(&team->done, &team->mutex);
        __atomic_store_n(&team->waiting, 0, __ATOMIC_SEQ_CST);
        pthread_mutex_unlock(&team->mutex);
        now = team_now();
        team_away(team, now, now - begun - patience);
    }

    /* Makes the job known, and wakes helpers for it. */
    static void team_publish(Team *team, Piece piece, const void *context, Py_ssize_t count, int wakes)
    {
        uint64_t job = (__atomic_load_n(&team->ticket, __ATOMIC_RELAXED) >> 32) + 1;
        __atomic_store_n(&team->piece, piece, __ATOMIC_RELAXED);
        __atomic_store_n(&team->context, context, __ATOMIC_RELAXED);
        __atomic_store_n(&team->count, count, __ATOMIC_RELAXED);
        __atomic_store_n(&team->unfinished, (uint64_t)count, __ATOMIC_RELAXED);
        __atomic_store_n(&team->ticket, job << 32 | (uint64_t)count << 16, __ATOMIC_SEQ_CST);
        if (wakes && __atomic_load_n(&team->asleep, __ATOMIC_SEQ_CST)) {
            pthread_mutex_lock(&team->mutex);
            pthread_cond_broadcast(&team->work);
            pthread_mutex_unlock(&team->mutex);
        }
    }

    /* If to share has not paid, the caller works alone for a while. */
    static void team_account(Account *account, int64_t now, int64_t saved, int64_t lost, int allowed)
    {
        account->saved += saved;
        account->lost += lost;
        if (account->lost > TEAM_LOSS && 2 * account->lost > allowed * account->saved) {
            account->alone_until = now + account->alone_for;
            account->alone_for *= account->alone_for < TEAM_RESTS_LONGEST ? 2 : 1;
            account->saved = account->lost = 0;
        } else if (account->saved > TEAM_MEMORY) {
            account->saved /= 2;
            account->lost /= 2;
            account->alone_for = TEAM_RESTS;
        }
    }

    /* One caller at a time. */
    static void team_share(Team *team, int site, Py_ssize_t size, Piece piece, const void *context, Py_ssize_t count)
    {
        int64_t begun = team_now(), ready = begun, now, end;
        double *cost = &team->cost[site], expected = *cost * size, measured;
        int is_long = expected > TEAM_LONG;
        Account *account = &team->accounts[is_long];
        Py_ssize_t claimed = count;
        if (expected < TEAM_ALONE || begun < account->alone_until) {
            for (Py_ssize_t number = 0; number < count; number++) piece(context, number, count, 0);
            now = team_now();
        } else {
            int wakes = expected >= TEAM_WAKES;
            if (wakes && !team->started) team_start(team);
            team_publish(team, piece, context, count, wakes);
            if (wakes) ready = team_now();
            claimed = team_claim(team, 0);
            now = team_now();
            /* A piece of the others that has just begun takes as long as one of ours, or somewhat longer. */
            if (__atomic_load_n(&team->unfinished, __ATOMIC_ACQUIRE))
                team_wait(team, now, (claimed ? 2 * (now - ready) / claimed : 0) + TEAM_ALONE);
        }
        if (claimed) {
            /* Who was put aside measures too much, and nobody too little: what is more is believed slowly. */
            measured = (double)(now - ready) / claimed * count / size;
            *cost = measured < 1.02 * *cost ? measured : 1.02 * *cost;
        }
        if (claimed < count && *cost < HUGE_VAL) {
            end = team_now();
            measured = *cost * size * (count - claimed) / count;
            team_account(account, end, (int64_t)measured, ready - begun + end - now, 1 + is_long);
        }
    }

    static void team_prepare(Team *team)
    {
        team->ticket = team->unfinished = 0;
        team->crowded_until = 0;
        memset(team->accounts, 0, sizeof(team->accounts));
        team->accounts[0].alone_for = team->accounts[1].alone_for = TEAM_RESTS;
        team->asleep = team->waiting = team->stopping = team->started = 0;
        pthread_mutex_init(&team->mutex, NULL);
        pthread_cond_init(&team->work, NULL);
        pthread_cond_init(&team->done, NULL);
    }

    /* NULL without memory. Threads start when there is work that is worth one. */
    static Team *team_new(int members, int sites)
    {
        void *room;
        Team *team;
        if (posix_memalign(&room, 64, sizeof(Team))) return NULL;
        team = (Team *)room;
        memset(team, 0, sizeof(Team));
        team->members = members;
        team->cost = (double *)malloc((sites + 1) * sizeof(double));
        team->helpers = (Member *)calloc(members, sizeof(Member));
        if (!team->cost || !team->helpers) {
            free(team->cost); free(team->helpers); free(team);
            return NULL;
        }
        for (int site = 0; site < sites; site++) team->cost[site] = HUGE_VAL;
        team_prepare(team);
        return team;
    }

    /* In a forked child: the threads have stayed with the parent, in whatever state they were. */
    static void team_forget(Team *team) { if (team) team_prepare(team); }

    static void team_free(Team *team)
    {
        if (!team) return;
        pthread_mutex_lock(&team->mutex);
        team->stopping = 1;
        pthread_cond_broadcast(&team->work);
        pthread_mutex_unlock(&team->mutex);
        for (int number = 1; number < team->started; number++) pthread_join(team->helpers[number].thread, NULL);
        pthread_mutex_destroy(&team->mutex);
        pthread_cond_destroy(&team->work);
        pthread_cond_destroy(&team->done);
        free(team->cost); free(team->helpers); free(team);
    }
    #endif
    """
    enum: TEAM_THREADS
    ctypedef struct Team:
        pass
    ctypedef void (*Piece)(
        const void* context, Py_ssize_t number, Py_ssize_t count, Py_ssize_t member
    ) noexcept nogil
    Team* team_new(int members, int sites) noexcept nogil
    void team_free(Team* team) noexcept nogil
    void team_forget(Team* team) noexcept nogil
    void team_share(
        Team* team, int site, Py_ssize_t size, Piece piece, const void* context, Py_ssize_t count
    ) noexcept nogil
