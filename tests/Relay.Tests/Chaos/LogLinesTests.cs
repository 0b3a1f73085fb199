using Relay.Chaos.History;

namespace Relay.Tests.Chaos;

/// <summary>The lines as the programs write them. Whoever changes one of them changes it here, and sees that the checker reads it.</summary>
public sealed class LogLinesTests
{
    private static readonly LogLines s_lines = new(address => address.StartsWith("10.77.0.12", StringComparison.Ordinal) ? "silo-2" : null);
    private static readonly Guid s_id = Guid.Parse("55555555-0000-0000-0000-000000000000");

    [Fact]
    public void Of_a_silo()
    {
        var grant = Silo("""{"level":"debug","ts":"2026-01-01T00:00:01.500Z","msg":"lease granted","connector":"twin","connector_id":"x","epoch":4,"agent_instance":"55555555-0000-0000-0000-000000000000"}""");
        Assert.Equal(new HistoryEvent(1_500, Kinds.LeaseGranted) { Silo = "silo-1", Connector = "twin", Epoch = 4, Instance = s_id }, grant);
        var over = Silo("""{"level":"info","ts":"2026-01-01T00:00:00Z","msg":"session 55555555-0000-0000-0000-000000000000 ended: closed by user","session_id":"55555555-0000-0000-0000-000000000000","outcome":"closed by user"}""");
        Assert.Equal(new HistoryEvent(0, Kinds.SessionOver) { Silo = "silo-1", Session = s_id, Reason = "closed by user" }, over);
        Assert.Equal(new HistoryEvent(0, Kinds.SiloReady) { Node = "silo-1" }, Silo("""{"level":"info","ts":"2026-01-01T00:00:00Z","msg":"silo ready","api":"http://127.0.0.1:8080"}"""));
        var dead = Silo("""{"level":"warn","ts":"2026-01-01T00:00:00Z","msg":"10.77.0.12:7443 (x) is declared dead: why","address":"10.77.0.12:7443","incarnation":"x","why":"why"}""");
        Assert.Equal(new HistoryEvent(0, Kinds.DeclaredDead) { Node = "silo-1", Silo = "silo-2", Reason = "why" }, dead);
    }

    [Fact]
    public void Of_a_gateway() =>
        Assert.Equal(
            new HistoryEvent(0, Kinds.SessionOpened) { Gateway = "silo-1", Session = s_id, Socket = "alpha", Silo = "silo-2", Client = "10.77.0.51:4000" },
            Silo("""{"level":"info","ts":"2026-01-01T00:00:00Z","msg":"session opened","session":"55555555-0000-0000-0000-000000000000","socket":"alpha","silo":"10.77.0.12:7443","client":"10.77.0.51:4000"}"""));

    [Fact]
    public void Of_an_agent()
    {
        Assert.Equal(
            new HistoryEvent(0, Kinds.AgentConnected) { Agent = "twin-a#2", Node = "twin-a", Connector = "twin", Epoch = 4 },
            Agent("""{"level":"info","ts":"2026-01-01T00:00:00Z","msg":"connected to relay","relay_pub":"silo-1","server":"s","epoch":4,"connector_name":"twin"}"""));
        Assert.Equal(
            new HistoryEvent(0, Kinds.StreamAdmitted) { Agent = "twin-a#2", Node = "twin-a", Connector = "twin", Epoch = 4, Session = s_id },
            Agent("""{"level":"debug","ts":"2026-01-01T00:00:00Z","msg":"stream admitted","session":"55555555-0000-0000-0000-000000000000","epoch":4}"""));
    }

    [Theory]
    [InlineData("not JSON")]
    [InlineData("""{"level":"info","ts":"2026-01-01T00:00:00Z","msg":"something else"}""")]
    [InlineData("""{"level":"info","ts":"2026-01-01T00:00""")]
    public void What_says_nothing_is_passed_over(string line) => Assert.Null(Silo(line));

    private static HistoryEvent? Silo(string line) => s_lines.Parse(line, "silo-1", null, null, Clock);

    private static HistoryEvent? Agent(string line) => s_lines.Parse(line, "twin-a", "twin-a#2", "twin", Clock);

    private static double Clock(DateTimeOffset at) => (at - new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero)).TotalMilliseconds;
}
