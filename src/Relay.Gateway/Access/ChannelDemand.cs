using Relay.Protocol.Grid;

namespace Relay.Gateway.Access;

/// <summary>What a user asks to do on the target: one case per thing that a policy can tell apart.</summary>
internal abstract record ChannelDemand
{
    private ChannelDemand(string name) => Name = name;

    /// <summary>Event type and metric label.</summary>
    public string Name { get; }

    /// <summary>The question for the silo; null for what no policy can allow.</summary>
    public abstract AuthorizeRequest? Question { get; }

    internal sealed record Shell() : ChannelDemand("shell")
    {
        public override AuthorizeRequest Question => new("shell");
    }

    internal sealed record Exec(string Command) : ChannelDemand("exec")
    {
        public override AuthorizeRequest Question => new("exec", Command);
    }

    internal sealed record Sftp() : ChannelDemand("sftp")
    {
        public override AuthorizeRequest Question => new("sftp");
    }

    /// <summary>Any other subsystem.</summary>
    internal sealed record Subsystem(string Id) : ChannelDemand("subsystem")
    {
        public override AuthorizeRequest Question => new("subsystem", Id);
    }

    internal sealed record TcpForwarding(string Address, int Port) : ChannelDemand("tcp_forwarding")
    {
        public override AuthorizeRequest Question => new("tcp_forwarding", null, Address, Port);
    }

    internal sealed record AgentForwarding() : ChannelDemand("agent_forwarding")
    {
        public override AuthorizeRequest Question => new("agent_forwarding");
    }

    /// <summary>Remote forwarding, X11, tunnels, local sockets, and whatever nobody knows.</summary>
    /// <param name="What">Channel or request type as sent, cleaned.</param>
    internal sealed record Unsupported(string What) : ChannelDemand("unsupported")
    {
        public override AuthorizeRequest? Question => null;
    }
}
