def _quota(root="/"):
    """Processors that the control groups of this process leave it (cgroup v1 and v2); None without a limit."""
    try:
        with open(f"{root}proc/self/cgroup", errors="surrogateescape") as file:
            groups = [line.rstrip("\n").split(":", 2) for line in file if line.count(":") > 1]
        with open(f"{root}proc/self/mountinfo", errors="surrogateescape") as file:
            mounts = [line.split() for line in file if " - " in line]
    except OSError:
        return None
    # Version 2 has one tree, without a name; in version 1 it is that of the controller cpu.
    paths = {"cgroup2" if number == "0" else "cgroup": path for number, names, path in groups
             if number == "0" or "cpu" in names.split(",")}
    quotas = []
    for fields in mounts:
        kind = fields[fields.index("-") + 1]
        if kind not in paths or (kind == "cgroup" and "cpu" not in fields[len(fields) - 1].split(",")):
            continue
        # In a container the tree that is mounted may begin below the group, or not hold it at all.
        inside, top, mounted = paths[kind], fields[3], fields[4]
        if top != "/" and (inside + "/").startswith(top + "/"):
            inside = inside[len(top):]
        folders = [] if ".." in inside.split("/") else inside.strip("/").split("/")
        for depth in range(len(folders) + 1):
            quotas.append(_group_quota(root + "/".join([mounted.strip("/"), *folders[:depth]]), kind))
    return min((quota for quota in quotas if quota), default=None)


def _group_quota(folder, kind):
    """Processors that one control group leaves its processes; None without a limit."""
    names = ("cpu.max",) if kind == "cgroup2" else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    words = []
    for name in names:
        try:
            with open(f"{folder}/{name}") as file:
                words += file.read().split()
        except OSError:
            return None
    if len(words) != 2 or not all(word.isdigit() and int(word) for word in words):
        return None
    return int(words[0]) / int(words[1])


def _default_threads(root="/"):
    """CHAINRULE_THREADS, else OMP_NUM_THREADS, else the processors that this process may use.

    Which these are say its affinity mask and the quotas of its control groups, a part of one counting as one.
    """
    for name in ("CHAINRULE_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "").split(",")[0].strip()
        if text.isdigit() and int(text) > 0:
            return int(text)
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(root)
    return processors if quota is None else min(processors, int(-(-quota // 1)))


def _usual_threads():
    return min(_default_threads(), _MOST_THREADS)
