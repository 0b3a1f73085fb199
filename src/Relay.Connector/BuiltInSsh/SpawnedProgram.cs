using System.Runtime.InteropServices;

namespace Relay.Connector.BuiltInSsh;

/// <summary>A program that was started: its three streams and its end. Caller disposes the streams.</summary>
internal sealed class SpawnedProgram : IDisposable
{
    private readonly PseudoTerminal? _terminal;

    private SpawnedProgram(int pid, DescriptorStream input, DescriptorStream output, DescriptorStream? error, PseudoTerminal? terminal)
    {
        Pid = pid;
        Input = input;
        Output = output;
        Error = error;
        _terminal = terminal;
        End = ChildProcesses.Shared.WatchAsync(pid);
    }

    public int Pid { get; }

    public DescriptorStream Input { get; }

    public DescriptorStream Output { get; }

    /// <summary>Null with a terminal: there both outputs are one.</summary>
    public DescriptorStream? Error { get; }

    public Task<ProcessEnd> End { get; }

    /// <summary>Starts with a terminal as stdin, stdout, stderr and controlling terminal.</summary>
    /// <exception cref="IOException">It could not be started.</exception>
    public static SpawnedProgram WithTerminal(PseudoTerminal terminal, string[] argv, string[] environment, string directory)
    {
        var pid = Start(argv, environment, directory, actions =>
        {
            // The child leads a new session by then; opening its first terminal makes that its controlling one.
            Check(Posix.AddOpen(actions, 0, terminal.Path, Posix.O_RDWR, 0));
            Check(Posix.AddDuplicate(actions, 0, 1));
            Check(Posix.AddDuplicate(actions, 0, 2));
        });
        return new SpawnedProgram(pid, terminal.Master, terminal.Master, null, terminal);
    }

    /// <summary>Starts with pipes.</summary>
    /// <exception cref="IOException">It could not be started.</exception>
    public static SpawnedProgram WithPipes(string[] argv, string[] environment, string directory)
    {
        Span<int> ends = stackalloc int[6];
        for (var i = 0; i < 3; i++)
            OpenPipe(ends.Slice(i * 2, 2));
        var (stdin, toStdin, fromStdout, stdout, fromStderr, stderr) = (ends[0], ends[1], ends[2], ends[3], ends[4], ends[5]);
        try
        {
            var pid = Start(argv, environment, directory, actions =>
            {
                Check(Posix.AddDuplicate(actions, stdin, 0));
                Check(Posix.AddDuplicate(actions, stdout, 1));
                Check(Posix.AddDuplicate(actions, stderr, 2));
            });
            return new SpawnedProgram(pid, new DescriptorStream(toStdin), new DescriptorStream(fromStdout), new DescriptorStream(fromStderr), null);
        }
        catch
        {
            _ = Posix.Close(toStdin);
            _ = Posix.Close(fromStdout);
            _ = Posix.Close(fromStderr);
            throw;
        }
        finally
        {
            _ = Posix.Close(stdin);
            _ = Posix.Close(stdout);
            _ = Posix.Close(stderr);
        }
    }

    /// <summary>Signals the program and everything it started that did not leave its process group.</summary>
    public void Signal(int signal)
    {
        if (!End.IsCompleted)
            _ = Posix.Kill(-Pid, signal);
    }

    public void Dispose()
    {
        Input.Dispose();
        Output.Dispose();
        Error?.Dispose();
        _terminal?.Dispose();
    }

    private static unsafe void OpenPipe(Span<int> ends)
    {
        fixed (int* start = ends)
        {
            if (Posix.Pipe(start, Posix.O_CLOEXEC) < 0)
                throw new IOException($"no pipe: {Posix.LastError()}");
        }
    }

    private static int Start(string[] argv, string[] environment, string directory, Action<nint> addActions)
    {
        // Opaque structures of the C library: 80 and 336 bytes here, 128 for a signal set; memory is zeroed.
        const int OpaqueBytes = 512;
        var memory = Marshal.AllocHGlobal(OpaqueBytes * 3);
        var (actions, attributes, signals) = (memory, memory + OpaqueBytes, memory + (2 * OpaqueBytes));
        try
        {
            Check(Posix.InitFileActions(actions));
            Check(Posix.InitAttributes(attributes));
            const short SetSignalDefaults = 4, SetSignalMask = 8, SetSession = 0x80;
            Check(Posix.SetFlags(attributes, SetSignalDefaults | SetSignalMask | SetSession));
            // .NET ignores SIGPIPE and handles others; the program starts as from a login.
            _ = Posix.FillSignalSet(signals);
            Check(Posix.SetDefaultSignals(attributes, signals));
            _ = Posix.EmptySignalSet(signals);
            Check(Posix.SetSignalMask(attributes, signals));
            addActions(actions);
            Check(Posix.AddChangeDirectory(actions, Directory.Exists(directory) ? directory : "/"));
            Check(Posix.Spawn(out var pid, argv[0], actions, attributes, [.. argv, null], [.. environment, null]));
            return pid;
        }
        finally
        {
            _ = Posix.DestroyFileActions(actions);
            _ = Posix.DestroyAttributes(attributes);
            Marshal.FreeHGlobal(memory);
        }
    }

    private static void Check(int error)
    {
        if (error != 0)
            throw new IOException($"cannot start the program: {Marshal.GetPInvokeErrorMessage(error)}");
    }
}
